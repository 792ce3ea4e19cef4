//! Training elsewhere: what a cluster needs to fit the factors, and what it gives back.
//!
//! `nightshelf export training` writes a folder: a [`Manifest`], the ids behind the codes, and the pairs of one or two
//! [`Part`]s with their weights. A cluster goes through them in half-steps, whose arithmetic it asks this program for
//! ([`half_step`]), and writes factors into the same folder, which `nightshelf run --factors` reads ([`factors`]). Everything
//! else, from neighbours to publishing, stays here.

pub mod arrow;
pub mod factors;
pub mod features;
pub mod half_step;
pub mod tables;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{MOST_FACTORS, Model};
use crate::error::{Error, Kind, Result};
use crate::files;

/// Changes whenever an older program would misread the folder.
pub const FORMAT: u32 = 1;

/// What the folder is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of the program that wrote it.
    pub program: String,
    /// Of the ratings, the related books and the queries, as in the history of runs.
    pub digest: String,
    /// Real readers; made-up ones come after them.
    pub readers: usize,
    pub books: usize,
    /// The model's settings as they were set.
    pub settings: Model,
    /// The same, with those that were chosen from the ratings.
    pub model: Model,
    /// What the gate judges: without the ratings that are held out. Absent where nothing is judged.
    pub judged: Option<PartManifest>,
    /// What is published: everything.
    pub all: PartManifest,
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartManifest {
    /// With made-up readers.
    pub readers: usize,
    pub books: usize,
    pub ratings: usize,
    /// The settings after the ratings were seen.
    pub model: Model,
    /// How many are to be gone through.
    pub epochs: usize,
    /// Whether it goes on from the books of the part `judged`, instead of beginning anew.
    pub goes_on: bool,
}

/// One of the trainings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Judged,
    All,
}

impl Part {
    /// Of its subfolder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Judged => "judged",
            Self::All => "all",
        }
    }
}

/// Whose rows are solved, or stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Readers,
    Books,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Self::Readers => "readers",
            Self::Books => "books",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Readers => Self::Books,
            Self::Books => Self::Readers,
        }
    }
}

impl PartManifest {
    pub fn rows(&self, side: Side) -> usize {
        match side {
            Side::Readers => self.readers,
            Side::Books => self.books,
        }
    }
}

impl Manifest {
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("manifest.json")
    }

    /// The one in `folder`.
    ///
    /// # Errors
    /// [`Kind::NoInput`] if there is none; else as [`Self::parse`].
    pub fn read(folder: &Path) -> Result<Self> {
        let path = Self::path(folder);
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::file(&error, "read", &path)
                .hint("`nightshelf export training --out FOLDER` writes such a folder")
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// A manifest's text, which comes from `place`.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if it is damaged or of another format.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let unusable = |what: String| Error::new(Kind::NoRatings, format!("{place}: {what}"));
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| unusable(format!("no manifest: {error}")))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            format => {
                let format = format.map_or("none".to_owned(), |format| format.to_string());
                return Err(unusable(format!("its format is {format}, and this program reads {FORMAT}"))
                    .hint("export and train again with this program"));
            }
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| unusable(format!("no manifest: {error}")))?;
        let parts = [manifest.judged.as_ref(), Some(&manifest.all)];
        for part in parts.into_iter().flatten() {
            let PartManifest { readers, books, model, .. } = part;
            let cells = readers.max(books).checked_mul(model.factors);
            if !(1..=MOST_FACTORS).contains(&model.factors)
                || cells.is_none()
                || *readers.max(books) > i32::MAX as usize
            {
                return Err(unusable(format!(
                    "{readers} readers and {books} books by {} factors",
                    model.factors
                )));
            }
        }
        Ok(manifest)
    }

    /// Makes `folder`, and room in it for another training: factors of the one before must not be taken for those of the new
    /// one.
    ///
    /// # Errors
    /// [`Kind::Io`] if that fails.
    pub fn make_room(folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(|error| Error::file(&error, "make", folder))?;
        for path in [Self::path(folder), factors::listing(folder)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file(&error, "remove", &path));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes it into `folder`.
    ///
    /// # Errors
    /// [`Kind::Io`] if that fails.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::new(Kind::Failed, format!("this cannot be written as JSON: {error}")))?;
        files::replace(&Self::path(folder), text.as_bytes(), None)
    }

    pub fn part(&self, part: Part) -> Option<&PartManifest> {
        match part {
            Part::Judged => self.judged.as_ref(),
            Part::All => Some(&self.all),
        }
    }

    /// Checks that factors of this training belong to what a night has read.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if the ratings are others.
    pub fn check_digest(&self, folder: &Path, digest: &str) -> Result<()> {
        if self.digest == digest {
            return Ok(());
        }
        Err(Error::new(
            Kind::NoRatings,
            format!(
                "{} is of other ratings: their digest is {}, and {digest} here",
                Self::path(folder).display(),
                self.digest
            ),
        )
        .hint("ratings have come or gone since; export and train again, or run without --factors"))
    }
}
