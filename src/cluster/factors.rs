//! Factors that were fitted elsewhere: read, and checked before anything is made of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde::Deserialize;

use super::{FORMAT, Manifest, Part, PartManifest, Side, arrow};
use crate::config::Model;
use crate::error::{Error, Kind, Result};
use crate::model::Factors;
use crate::model::data::Interactions;
use crate::panics;

/// `factors.json`: what was fitted, and in which files it is.
#[derive(Debug, Deserialize)]
struct Listing {
    format: u32,
    digest: String,
    /// What fitted them, in words.
    engine: String,
    #[serde(default)]
    losses: Losses,
    files: Vec<Listed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Losses {
    judged: Vec<f64>,
    all: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    part: String,
    side: String,
    file: String,
    rows: usize,
}

/// Where a folder says what was fitted.
pub fn listing(folder: &Path) -> PathBuf {
    folder.join("factors.json")
}

/// Factors of one training, in the place of our own.
#[derive(Clone, Debug)]
pub struct Given {
    pub factors: Factors,
    /// The mean loss of a rating after each epoch, as far as it is known.
    pub losses: Vec<f64>,
    /// The folder, for errors.
    folder: PathBuf,
    part: Part,
}

/// Both trainings, and what they were made with.
#[derive(Debug)]
pub struct FittedElsewhere {
    folder: PathBuf,
    judged: Option<Given>,
    pub all: Given,
    /// With the settings that were chosen from the ratings.
    pub model: Model,
    pub engine: String,
}

impl FittedElsewhere {
    /// Reads and checks all factors in `folder`, which must be of the ratings with this digest and of these settings.
    ///
    /// # Errors
    /// [`Kind::NoInput`] if there are none; [`Kind::NoRatings`], naming the file, if they are of something else, damaged,
    /// incomplete or not finite.
    pub fn read(folder: &Path, digest: &str, settings: &Model) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        manifest.check_digest(folder, digest)?;
        check_settings(folder, settings, &manifest.settings)?;
        let path = listing(folder);
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::file(&error, "read", &path)
                .hint("the training has not come to its end; jobs/spark/train.py goes on with it")
        })?;
        let unusable = |what: String| Error::new(Kind::NoRatings, format!("{}: {what}", path.display()));
        let about: Listing = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        if about.format != FORMAT {
            return Err(unusable(format!("its format is {}, and this program reads {FORMAT}", about.format)));
        }
        if about.digest != manifest.digest {
            return Err(unusable(format!(
                "these factors are of other ratings than the manifest beside them: {} and {}",
                about.digest, manifest.digest
            ))
            .hint("train again with this folder"));
        }
        let Losses { judged, all } = &about.losses;
        let given = |part: Part, training: &PartManifest, losses: &[f64]| -> Result<Given> {
            let side = |side| read_side(folder, &about.files, part, side, training);
            let (users, items) = (side(Side::Readers)?, side(Side::Books)?);
            let factors = Factors { width: training.model.factors, users, items };
            Ok(Given { factors, losses: losses.to_vec(), folder: folder.to_owned(), part })
        };
        Ok(Self {
            folder: folder.to_owned(),
            judged: manifest.judged.as_ref().map(|about| given(Part::Judged, about, judged)).transpose()?,
            all: given(Part::All, &manifest.all, all)?,
            model: manifest.model.clone(),
            engine: about.engine,
        })
    }

    /// The factors that the gate judges.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if there are none.
    pub fn judged(&self) -> Result<&Given> {
        self.judged.as_ref().ok_or_else(|| {
            let place = Manifest::path(&self.folder);
            Error::new(Kind::NoRatings, format!("{}: it has no factors for the gate to judge", place.display()))
                .hint("it was exported with the gate turned off; export and train again, or turn the gate off here, too")
        })
    }
}

/// The first setting of the model that differs.
fn check_settings(folder: &Path, ours: &Model, theirs: &Model) -> Result<()> {
    let [ours, theirs] = [ours, theirs].map(|model| serde_json::to_value(model).unwrap_or_default());
    let names = ours.as_object().into_iter().flat_map(serde_json::Map::keys);
    match names.into_iter().find(|name| ours.get(name) != theirs.get(name)) {
        None => Ok(()),
        Some(name) => {
            let value =
                |of: &serde_json::Value| of.get(name).map_or("nothing".to_owned(), ToString::to_string);
            Err(Error::new(
                Kind::NoRatings,
                format!(
                    "{} was exported with other settings: {name} was {}, and is {} now",
                    Manifest::path(folder).display(),
                    value(&theirs),
                    value(&ours)
                ),
            )
            .hint("run with the same settings, or export and train again"))
        }
    }
}

impl Given {
    /// The factors, if they fit the pairs that are to be trained on.
    ///
    /// # Errors
    /// [`Kind::NoRatings`] if they are for another number of rows, or if a row with ratings has none.
    pub fn check(&self, rows: &Interactions, d: usize) -> Result<()> {
        let Factors { width, users, items } = &self.factors;
        let shape = |rows: usize| rows * d;
        if (*width, users.len(), items.len()) != (d, shape(rows.user_count()), shape(rows.item_count)) {
            return Err(self.unusable(format!(
                "factors of {} readers and {} books by {width}, and not of {} and {} by {d}",
                users.len() / width.max(&1),
                items.len() / width.max(&1),
                rows.user_count(),
                rows.item_count
            )));
        }
        let is_zero = |table: &[f32]| -> Vec<bool> {
            table.chunks_exact(d.max(1)).map(|row| row.iter().all(|value| *value == 0.0)).collect()
        };
        let (no_user, no_item) = (is_zero(users), is_zero(items));
        // A row is zero only if all that it is solved from is: otherwise it was lost on the way.
        for (user, no_user) in no_user.into_iter().enumerate() {
            let (own, weights) = rows.of(user);
            for (item, _) in own.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
                match (no_user, no_item[*item as usize]) {
                    (true, false) => {
                        return Err(self.unusable(format!("the reader of code {user} has no factors")));
                    }
                    (false, true) => {
                        return Err(self.unusable(format!("the book of code {item} has no factors")));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn unusable(&self, what: String) -> Error {
        let place = self.folder.join(self.part.name()).join("factors");
        Error::new(Kind::NoRatings, format!("{}: {what}", place.display()))
            .hint("train again, or run without --factors")
    }
}

/// All rows of a side, from its files.
fn read_side(
    folder: &Path,
    files: &[Listed],
    part: Part,
    side: Side,
    about: &PartManifest,
) -> Result<Vec<f32>> {
    let (rows, d) = (about.rows(side), about.model.factors);
    let own = files.iter().filter(|listed| listed.part == part.name() && listed.side == side.name());
    let (mut all, mut seen) = (vec![0.0; rows * d], vec![false; rows]);
    let mut last = listing(folder);
    for listed in own {
        let path = folder.join(&listed.file);
        let unusable = |what: String| {
            Error::new(Kind::NoRatings, format!("{}: {what}", path.display()))
                .hint("train again, or run without --factors")
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => return Err(unusable(format!("a part of the factors cannot be read: {error}"))),
        };
        let frame = panics::caught(|| ParquetReader::new(file).finish());
        let frame = frame.map_err(|_| unusable("no Parquet file".into()))?;
        let frame = frame.map_err(|error| unusable(format!("no Parquet file: {error}")))?;
        if frame.height() != listed.rows {
            return Err(unusable(format!("{} rows, and not {}", frame.height(), listed.rows)));
        }
        let solved = arrow::solved(&frame, rows, d).map_err(|what| unusable(what.to_string()))?;
        for (code, row) in solved.codes.iter().zip(solved.factors.chunks_exact(d)) {
            let code = *code as usize;
            if std::mem::replace(&mut seen[code], true) {
                return Err(unusable(format!("code {code} is in another file, too")));
            }
            all[code * d..][..d].copy_from_slice(row);
        }
        last = path;
    }
    match seen.iter().position(|seen| !seen) {
        None => Ok(all),
        Some(code) => {
            let (missing, side) = (seen.iter().filter(|seen| !**seen).count(), side.name());
            Err(Error::new(
                Kind::NoRatings,
                format!(
                    "{}: {missing} of {rows} {side} of the part {} are in none of its files, such as code {code}",
                    last.display(),
                    part.name()
                ),
            )
            .hint("train again, or run without --factors"))
        }
    }
}
