//! The model on disk, beside the database: `shop.db.nightshelf/model-12/`.
//!
//! Factors as safetensors, vocabularies as Parquet, and a manifest that says which run they are
//! of. A folder is written under another name and renamed when it is whole, so what bears the name
//! of a model is one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, ParquetWriter};
use serde_json::json;

use crate::catalog::vocabulary::{Items, Users};
use crate::error::{Error, Result};
use crate::jobs::recommend::Fitted;
use crate::model::saved;
use crate::model::settled::Settled;

const PREFIX: &str = "model-";
const UNFINISHED: &str = "unfinished-";

/// What is kept of a run.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// The run that trained it.
    pub run_id: i64,
    /// Its settings.
    pub config: &'a Settled,
    /// Readers by code.
    pub users: &'a Users,
    /// Books by code.
    pub items: &'a Items,
    /// Factors, a row for each code.
    pub fitted: &'a Fitted,
}

impl Model<'_> {
    /// Writes the model, whole or not at all.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] if the disk is full or the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let unfinished = folder.join(format!("{UNFINISHED}{}", self.run_id));
        let finished = folder.join(format!("{PREFIX}{}", self.run_id));
        for old in [&unfinished, &finished] {
            remove(old)?;
        }
        fs::create_dir_all(&unfinished).map_err(|error| Error::file(&error, "make", &unfinished))?;
        write_parquet(&unfinished.join("users.parquet"), self.users.frame()?)?;
        write_parquet(&unfinished.join("items.parquet"), self.items.frame()?)?;
        let factors = unfinished.join("factors.safetensors");
        saved::write(&factors, self.fitted.ranking.as_ref(), self.fitted.rating.as_ref())?;
        sync(&factors)?;
        let manifest = json!({
            "format": 1,
            "nightshelf": env!("CARGO_PKG_VERSION"),
            "run_id": self.run_id,
            "users": self.users.len(),
            "items": self.items.len(),
            "config": &**self.config,
        });
        let path = unfinished.join("manifest.json");
        fs::write(&path, format!("{manifest:#}\n")).map_err(|error| Error::file(&error, "write", &path))?;
        sync(&path)?;
        fs::rename(&unfinished, &finished).map_err(|error| Error::file(&error, "write", &finished))?;
        sync(folder)?;
        Ok(finished)
    }

    /// Removes unfinished models, and those of all runs but a few.
    pub fn forget_all_but(folder: &Path, runs: &[i64]) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let run = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
            // Unfinished ones are left over from runs that died: we hold the lock.
            if run.is_some_and(|run| !runs.contains(&run)) || name.starts_with(UNFINISHED) {
                // What cannot be removed now is tried again after the next run.
                let _ = remove(&path);
            }
        }
    }
}

fn write_parquet(path: &Path, mut frame: DataFrame) -> Result<()> {
    let file = File::create(path).map_err(|error| Error::file(&error, "write", path))?;
    ParquetWriter::new(&file).finish(&mut frame)?;
    sync(path)
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
