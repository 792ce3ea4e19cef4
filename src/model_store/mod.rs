//! The model on disk, beside the database: `shop.db.nightshelf/model-12/`.
//!
//! It has the factors as safetensors, the readers and books as Parquet, and a manifest with the settings, the
//! run, and a seal (a checksum) for each file. The folder is written under another name and renamed when it
//! is complete, so a folder with a model's name was complete once; the seals tell whether it still is.

mod items;
mod recency;
pub mod safetensors;
mod seal;
mod sparse;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use polars::prelude::{
    Column, DataFrame, ParquetCompression, ParquetReader, ParquetWriter, PolarsError, SerReader,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::catalog::ids::Users;
use crate::config::{Config, ResolvedConfig};
use crate::error::{Error, Kind, Result};
use crate::model::Factors;
use crate::model::data::{ItemTraits, UNKNOWN, nearest_half_life};
use crate::model::neighbours::Neighbours;
use crate::model::ranker::Ranker;
use crate::model::rating::RatingModel;
use crate::{failpoint, sidecar};
use items::Sparse;
pub use items::StoredItems;
use seal::{Seal, Sealing};

const PREFIX: &str = "model-";
const UNFINISHED: &str = "unfinished-";
const MANIFEST: &str = "manifest.json";
const FACTORS: &str = "factors.safetensors";
const USERS: &str = "users.parquet";
const ITEMS: &str = "items.parquet";
const NEIGHBOURS: &str = "neighbours.parquet";
const TITLES: &str = "titles.parquet";
const SUBJECTS: &str = "subjects.parquet";
const LIFTS: &str = "lifts.parquet";
const FILES: [&str; 7] = [USERS, ITEMS, TITLES, SUBJECTS, LIFTS, FACTORS, NEIGHBOURS];

/// Raised whenever an older nightshelf would misread the files.
const FORMAT: u32 = 8;

/// What is kept of a nightly run.
#[derive(Clone, Debug)]
pub struct StoredModel {
    pub run_id: i64,
    /// The digest of the ratings that it was trained on.
    pub input_digest: String,
    pub config: ResolvedConfig,
    pub readers: StoredUsers,
    pub books: StoredItems,
    /// A row for each code.
    pub ranking: Factors,
    pub neighbours: Neighbours,
    /// When the newest rating was given, in seconds; `None` where ratings have no times.
    pub newest: Option<f64>,
    /// `None` to order by factors alone.
    pub ranker: Option<Ranker>,
    /// `None` where nothing was rated.
    pub rating: Option<RatingModel>,
}

/// What is kept of the readers of a run; each field is by code.
#[derive(Clone, Debug)]
pub struct StoredUsers {
    pub users: Users,
    /// The digest of the ratings that each reader's factors were trained on.
    pub digests: Vec<i64>,
    /// How many ratings these were.
    pub ratings: Vec<u32>,
    /// The gate's figure for each reader; NaN for readers whom the gate did not ask about.
    pub quality: Vec<f64>,
    /// As [`crate::catalog::encode::Encoded::attributes`].
    pub attributes: Vec<Vec<u32>>,
}

fn attribute_column(number: usize) -> String {
    format!("attribute_{number}")
}

impl StoredUsers {
    /// From the columns of [`StoredUsers::frame`].
    fn new(mut frame: DataFrame) -> Result<Self> {
        let mut column = |name: &str| frame.drop_in_place(name);
        let (digests, ratings, quality) = (column("digest")?, column("ratings")?, column("quality")?);
        let mut attributes = Vec::new();
        while let Ok(codes) = frame.drop_in_place(&attribute_column(attributes.len())) {
            attributes.push(codes.u32()?.iter().map(|code| code.unwrap_or(UNKNOWN)).collect());
        }
        Ok(Self {
            attributes,
            digests: digests.i64()?.iter().map(Option::unwrap_or_default).collect(),
            ratings: ratings.u32()?.iter().map(Option::unwrap_or_default).collect(),
            quality: quality.f64()?.iter().map(|figure| figure.unwrap_or(f64::NAN)).collect(),
            users: Users::new(frame)?,
        })
    }

    fn frame(&self) -> Result<DataFrame> {
        let mut frame = self.users.frame()?;
        frame.with_column(Column::new("digest".into(), &self.digests))?;
        frame.with_column(Column::new("ratings".into(), &self.ratings))?;
        frame.with_column(Column::new("quality".into(), &self.quality))?;
        for (number, codes) in self.attributes.iter().enumerate() {
            frame.with_column(Column::new(attribute_column(number).into(), codes))?;
        }
        Ok(frame)
    }

    /// The digests of readers with these codes; `None` where there is no code.
    pub fn digests_of(&self, codes: &[Option<u32>]) -> Vec<Option<i64>> {
        codes.iter().map(|code| code.map(|code| self.digests[code as usize])).collect()
    }

    /// Reads the readers and the settings of a run, without the factors.
    ///
    /// # Errors
    /// As [`StoredModel::read`].
    pub fn read(folder: &Path, run_id: i64, input_digest: Option<&str>) -> Result<(Self, Config)> {
        let folder = Folder::open(folder, run_id, input_digest)?;
        Ok((folder.table(USERS, Self::new)?, folder.manifest.config))
    }

    fn without(mut self, user: u32) -> Result<Self> {
        self.users = self.users.without(user)?;
        self.digests.remove(user as usize);
        self.ratings.remove(user as usize);
        self.quality.remove(user as usize);
        for codes in &mut self.attributes {
            codes.remove(user as usize);
        }
        Ok(self)
    }
}

/// The content of `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    nightshelf: String,
    run_id: i64,
    input_digest: String,
    users: usize,
    items: usize,
    files: BTreeMap<String, Seal>,
    ranker: Option<Ranker>,
    newest: Option<f64>,
    config: Config,
}

/// The fields of a manifest that every format has.
#[derive(Deserialize)]
#[serde(default)]
struct Written {
    format: u32,
    nightshelf: String,
}

impl Default for Written {
    fn default() -> Self {
        Self { format: 0, nightshelf: "unknown".into() }
    }
}

pub fn path(folder: &Path, run_id: i64) -> PathBuf {
    folder.join(format!("{PREFIX}{run_id}"))
}

impl StoredModel {
    /// Writes the model, whole or not at all, and replaces one of the same run.
    ///
    /// # Errors
    /// [`Kind::Io`] if the disk is full or the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let unfinished = folder.join(format!("{UNFINISHED}{}", self.run_id));
        let replaced = folder.join(format!("{UNFINISHED}{}-old", self.run_id));
        let finished = path(folder, self.run_id);
        remove(&unfinished)?;
        remove(&replaced)?;
        let written = self.write_files(&unfinished).and_then(|()| {
            // The files get the mode and the owner of the folder, which are those of the database.
            sidecar::adopt(&unfinished, folder).map_err(|error| Error::file(&error, "write", &unfinished))?;
            failpoint::reach("model.written");
            if finished.exists() {
                rename(&finished, &replaced)?;
            }
            rename(&unfinished, &finished)?;
            failpoint::reach("model.renamed");
            sync(folder)
        });
        // On success nothing has this name; after a full disk this frees space.
        let tidied = remove(&unfinished);
        written.and(tidied)?;
        remove(&replaced)
    }

    fn write_files(&self, folder: &Path) -> Result<()> {
        sidecar::make_folder(folder).map_err(|error| Error::file(&error, "make", folder))?;
        write_parquet(&folder.join(USERS), self.readers.frame()?)?;
        write_parquet(&folder.join(ITEMS), self.books.frame()?)?;
        safetensors::write(&folder.join(FACTORS), &self.ranking, self.rating.as_ref())?;
        let ItemTraits { descriptions, affinity, .. } = &self.books.popularity.traits;
        let sparse = [
            (TITLES, &descriptions.titles),
            (SUBJECTS, &descriptions.subjects),
            (LIFTS, &affinity.lifts),
            (NEIGHBOURS, self.neighbours.rows()),
        ];
        for (name, rows) in sparse {
            write_parquet(&folder.join(name), sparse::frame(rows)?)?;
        }
        let mut files = BTreeMap::new();
        for name in FILES {
            let path = folder.join(name);
            sync(&path)?;
            let seal = Seal::of_file(&path).map_err(|error| Error::file(&error, "read", &path))?;
            files.insert(name.to_owned(), seal);
        }
        let manifest = Manifest {
            format: FORMAT,
            nightshelf: env!("CARGO_PKG_VERSION").into(),
            run_id: self.run_id,
            input_digest: self.input_digest.clone(),
            users: self.readers.users.len(),
            items: self.books.items.len(),
            files,
            ranker: self.ranker.clone(),
            newest: self.newest,
            config: (*self.config).clone(),
        };
        let text = serde_json::to_string_pretty(&manifest)
            .map_err(|error| Error::new(Kind::Failed, format!("the manifest cannot be written: {error}")))?;
        let path = folder.join(MANIFEST);
        fs::write(&path, text + "\n").map_err(|error| Error::file(&error, "write", &path))?;
        sync(&path)
    }

    /// Reads the model of a run. `input_digest` is that of the run in the history, if it is known there.
    ///
    /// # Errors
    /// [`Kind::NoInput`] if the model is missing; [`Kind::Io`] if it is damaged, naming the file;
    /// [`Kind::Failed`] if another version wrote it in another format, or if it is of another database.
    pub fn read(folder: &Path, run_id: i64, input_digest: Option<&str>) -> Result<Self> {
        let folder = Folder::open(folder, run_id, input_digest)?;
        let count = folder.manifest.items;
        let words = |name| folder.table(name, |frame| sparse::read(&frame, count, None));
        let books = || {
            let about = Sparse { titles: words(TITLES)?, subjects: words(SUBJECTS)?, lifts: words(LIFTS)? };
            let late = nearest_half_life(folder.manifest.config.model.popularity_half_life);
            folder.table(ITEMS, |frame| StoredItems::new(frame, about, late))
        };
        let factors = || folder.file(FACTORS, |file, length| safetensors::read(file, length));
        let neighbours = || {
            folder
                .table(NEIGHBOURS, |frame| sparse::read(&frame, count, Some(count)))
                .map(Neighbours::of_rows)
        };
        let readers = || folder.table(USERS, StoredUsers::new);
        // What people wait for at a prompt.
        let ((books, factors), (neighbours, readers)) =
            rayon::join(|| rayon::join(books, factors), || rayon::join(neighbours, readers));
        let (books, (ranking, rating), neighbours, readers) = (books?, factors?, neighbours?, readers?);
        let Folder { path, manifest } = folder;
        // The manifest has no seal of its own, and somebody may have edited it.
        manifest.config.check().map_err(|problem| damaged(&path, MANIFEST, &problem))?;
        if manifest.ranker.as_ref().is_some_and(|ranker| !ranker.is_sound()) {
            return Err(damaged(&path, MANIFEST, "the ranker is no ranker"));
        }
        let model = Self {
            neighbours,
            ranker: manifest.ranker,
            newest: manifest.newest,
            run_id,
            input_digest: manifest.input_digest,
            config: manifest.config.into(),
            readers,
            books,
            ranking,
            rating,
        };
        match model.is_complete() {
            true => Ok(model),
            false => Err(damaged(&path, FACTORS, "it has not a row for each reader and book")),
        }
    }

    /// Whether there is a row for each reader and each book.
    fn is_complete(&self) -> bool {
        let (users, items) = (self.readers.users.len(), self.books.items.len());
        let complete = |factors: &Factors| {
            let width = factors.width;
            width > 0 && factors.users.len() == users * width && factors.items.len() == items * width
        };
        complete(&self.ranking)
            && self.rating.as_ref().is_none_or(|RatingModel { factors, biases, directions, .. }| {
                complete(factors)
                    && (biases.users.len(), biases.items.len()) == (users, items)
                    && (directions.center.is_empty() || directions.center.len() == factors.width)
            })
    }

    pub fn without(mut self, user: u32) -> Result<Self> {
        self.readers = self.readers.without(user)?;
        self.ranking.forget(user);
        if let Some(rating) = &mut self.rating {
            rating.forget(user);
        }
        Ok(self)
    }
}

/// Fails unless the model of a run is there and undamaged.
///
/// # Errors
/// As [`StoredModel::read`].
pub fn verify(folder: &Path, run_id: i64, input_digest: Option<&str>) -> Result<()> {
    let folder = Folder::open(folder, run_id, input_digest)?;
    FILES.par_iter().try_for_each(|name| folder.file(name, |_, _| Ok(())))
}

/// The files of a model, and what the manifest says of them.
struct Folder {
    path: PathBuf,
    manifest: Manifest,
}

impl Folder {
    /// Reads the manifest of a run.
    fn open(folder: &Path, run_id: i64, input_digest: Option<&str>) -> Result<Self> {
        let path = path(folder, run_id);
        let manifest = manifest(&path, run_id, input_digest)?;
        Ok(Self { path, manifest })
    }

    /// Lets `read` read a file, given its length, and checks its seal.
    fn file<T>(&self, name: &str, read: impl FnOnce(&mut Sealing<File>, u64) -> Result<T>) -> Result<T> {
        let of_disk = |error: std::io::Error| damaged(&self.path, name, &error.to_string());
        let file = File::open(self.path.join(name)).map_err(of_disk)?;
        let length = file.metadata().map_err(of_disk)?.len();
        let mut file = Sealing::new(file);
        let content = read(&mut file, length);
        std::io::copy(&mut file, &mut std::io::sink()).map_err(of_disk)?;
        // What is not as it was written may fail in any way.
        match self.manifest.files.get(name) == Some(&file.seal()) {
            true => content.map_err(|error| damaged(&self.path, name, &error.to_string())),
            false => Err(damaged(&self.path, name, "it is not as it was written")),
        }
    }

    /// As [`Folder::file`], of a file that is a table.
    fn table<T>(&self, name: &str, read: impl FnOnce(DataFrame) -> Result<T>) -> Result<T> {
        self.file(name, |file, length| {
            let mut bytes = Vec::with_capacity(length as usize);
            file.read_to_end(&mut bytes)
                .map_err(|error| Error::file(&error, "read", &self.path.join(name)))?;
            read(ParquetReader::new(Cursor::new(bytes)).finish()?)
        })
    }
}

fn manifest(folder: &Path, run_id: i64, input_digest: Option<&str>) -> Result<Manifest> {
    if !folder.is_dir() {
        let message =
            format!("the model of run {run_id} is missing: there is no folder {}", folder.display());
        return Err(Error::new(Kind::NoInput, message).hint(RUN_AGAIN));
    }
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(|error| damaged(folder, MANIFEST, &error.to_string()))?;
    // The format first: in another format, all other fields may differ.
    let Written { format, nightshelf: writer } =
        serde_json::from_str(&text).map_err(|error| damaged(folder, MANIFEST, &error.to_string()))?;
    if format != FORMAT {
        let age = if format < FORMAT { "an older" } else { "a newer" };
        return Err(Error::new(
            Kind::Failed,
            format!(
                "the model {} is of {age} nightshelf ({writer}): format {format}, and this one reads {FORMAT}",
                folder.display()
            ),
        )
        .hint(RUN_AGAIN));
    }
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| damaged(folder, MANIFEST, &error.to_string()))?;
    if manifest.run_id != run_id || input_digest.is_some_and(|digest| digest != manifest.input_digest) {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "the model {} is foreign: it is of a run {} on other ratings, not of this database's run \
                 {run_id}",
                folder.display(),
                manifest.run_id
            ),
        )
        .hint(RUN_AGAIN));
    }
    Ok(manifest)
}

const RUN_AGAIN: &str = "the lists stand; the next `nightshelf run` trains a new model";

fn damaged(folder: &Path, file: &str, what: &str) -> Error {
    let path = folder.join(file);
    Error::new(Kind::Io, format!("the model is damaged: {}: {what}", path.display())).hint(RUN_AGAIN)
}

/// Removes unfinished models, and those of all runs but `runs`.
pub fn forget_all_but(folder: &Path, runs: &[i64]) {
    for (path, run) in models(folder) {
        // Unfinished models are of runs that died, because the caller holds the lock.
        if run.is_none_or(|run| !runs.contains(&run)) {
            // What cannot be removed now is tried again after the next run.
            let _ = remove(&path);
        }
    }
}

/// The models in a folder and their runs; `None` for an unfinished one.
pub fn models(folder: &Path) -> Vec<(PathBuf, Option<i64>)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let model = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        let run = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
        (run.is_some() || name.starts_with(UNFINISHED)).then_some((path, run))
    };
    entries.flatten().filter_map(|entry| model(entry.path())).collect()
}

fn write_parquet(path: &Path, mut frame: DataFrame) -> Result<()> {
    let file = File::create(path).map_err(|error| Error::file(&error, "write", path))?;
    // A person at a prompt waits for it to be read.
    let written =
        ParquetWriter::new(&file).with_compression(ParquetCompression::Uncompressed).finish(&mut frame);
    // polars wraps the error of the file system.
    written.map_err(|error| match error {
        PolarsError::IO { error, .. } => Error::file(&error, "write", path),
        other => Error::from(other),
    })?;
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::file(&error, "write", to))
}

/// Waits until a file or a folder has reached the disk.
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::file(&error, "write", path))
}

fn remove(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    fs::remove_dir_all(path).map_err(|error| Error::file(&error, "remove", path))
}
