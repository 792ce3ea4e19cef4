//! Writes what a cluster needs to fit tonight's factors; see [`crate::cluster`].

use std::fs;
use std::path::Path;

use crate::cluster::{FORMAT, Manifest, Part, PartManifest, tables};
use crate::config::{Config, Model, ResolvedConfig, Solver};
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::model::als::final_epochs;
use crate::model::confidence::ConfidenceMatrix;
use crate::model::device;
use crate::pipeline::dataset::Job;
use crate::pipeline::gate;
use crate::text::count;

/// Reads the ratings of a database as a night does, chooses what a night chooses, and writes the pairs of both trainings.
///
/// # Errors
/// [`Kind::Config`] if a cluster has nothing to fit with these settings; those of [`Job::load`]; [`Kind::Io`] if the folder
/// cannot be written.
pub fn export_training(context: Context<'_>, db: &Path, folder: &Path) -> Result<Manifest> {
    let Context { config, console, .. } = context;
    if config.model.solver != Solver::Als || config.model.factors == 0 {
        return Err(Error::new(
            Kind::Config,
            "only factors that solver = \"als\" fits can be fitted elsewhere",
        ));
    }
    let (device, _) = device::choose(&config.compute.device)?;
    let database = context.open(db)?;
    let dataset = Job::new(context).load(&database)?;
    drop(database);
    let split = match config.gate.enabled {
        true => gate::split(&dataset, config)?
            .map_err(|why| console.say(format!("evaluate   nothing is judged: {why}")))
            .ok(),
        false => None,
    };
    Manifest::make_room(folder)?;
    let epochs = config.model.epochs;
    let (model, judged) = match &split {
        None => (config.model.clone(), None),
        Some(split) => {
            let evaluator = gate::evaluator(context, &dataset, split, device);
            let config = evaluator.with_choices(&gate::judged(config))?;
            let judged =
                write_part(folder, Part::Judged, evaluator.problem(&config), (config.model.epochs, false))?;
            console.say(format!("judged     {}", in_words(&judged)));
            (Model { epochs, ..config.model }, Some(judged))
        }
    };
    let all = {
        let problem = dataset.problem(&Config { model: model.clone(), ..config.clone() });
        let goes_on = judged.is_some();
        let epochs = if goes_on { final_epochs(epochs).max(1) } else { epochs };
        write_part(folder, Part::All, problem, (epochs, goes_on))?
    };
    console.say(format!("all        {}", in_words(&all)));
    tables::write_vocabularies(folder, &dataset.ratings.users, &dataset.ratings.items)?;
    let manifest = Manifest {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        digest: dataset.digest.clone(),
        readers: dataset.ratings.users.len(),
        books: dataset.ratings.items.len(),
        settings: config.model.clone(),
        model,
        judged,
        all,
    };
    // Last: a folder without it is unfinished.
    manifest.write(folder)?;
    Ok(manifest)
}

fn in_words(part: &PartManifest) -> String {
    let PartManifest { readers, books, ratings, epochs, model, .. } = part;
    let [readers, books, ratings] = [*readers, *books, *ratings].map(count);
    let factors = model.factors;
    format!(
        "{ratings} pairs of {readers} readers (made-up ones included) and {books} books; {epochs} epochs of {factors} factors"
    )
}

fn write_part(
    folder: &Path,
    part: Part,
    (config, confidence): (ResolvedConfig, ConfidenceMatrix),
    (epochs, goes_on): (usize, bool),
) -> Result<PartManifest> {
    let folder = folder.join(part.name());
    fs::create_dir_all(&folder).map_err(|error| Error::file(&error, "make", &folder))?;
    let rows = confidence.rows();
    tables::write_pairs(&folder, rows)?;
    Ok(PartManifest {
        readers: rows.user_count(),
        books: rows.item_count,
        ratings: rows.len(),
        model: config.model.clone(),
        epochs,
        goes_on,
    })
}
