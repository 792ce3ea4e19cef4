//! `nightshelf half-step`: the arithmetic of a training that goes on elsewhere.

use std::io::stdin;
use std::path::Path;

use super::Outcome;
use crate::cli::{HalfStep, HalfStepWhat, PartName, Rows, SideName};
use crate::cluster::features::{self, Features};
use crate::cluster::{Manifest, Part, PartManifest, Side, arrow, half_step};
use crate::context::Context;
use crate::error::{Error, Kind, Result};

/// Solves rows, or prepares features; rows come from stdin, and solutions go to stdout.
///
/// # Errors
/// [`Kind::NoRatings`] if what comes in is of no use.
pub fn half_step(context: Context<'_>, args: &HalfStep) -> Result<Outcome> {
    match &args.what {
        HalfStepWhat::Solve { of, features } => {
            let (part, side) = training(of)?;
            let d = part.model.factors;
            let frame = arrow::read(stdin().lock())?;
            let rows = arrow::rows(&frame, part.rows(side), part.rows(side.other()))?;
            drop(frame);
            let features = Features::open(features)?;
            let tables = features.tables(part.rows(side.other()), d)?;
            let (solved, loss) = half_step::solve(&part, side, rows, tables, context.interrupt)?;
            let mut bytes = Vec::new();
            arrow::write(&mut bytes, &solved, d, loss)?;
            context.console.bytes(&bytes)?;
        }
        HalfStepWhat::Prepare { of, out, beginning } => {
            let (part, side) = training(of)?;
            let (rows, d) = (part.rows(side), part.model.factors);
            let table = match beginning {
                true if side == Side::Readers => half_step::beginning(&part),
                true => {
                    return Err(Error::new(
                        Kind::Config,
                        "a training begins with factors of readers, not of books",
                    ));
                }
                false => half_step::gathered(arrow::solved(&arrow::read(stdin().lock())?, rows, d)?, rows, d),
            };
            features::write(out, table, d, part.model.unobserved_weight as f32)?;
        }
    }
    Ok(Outcome::default())
}

fn training(rows: &Rows) -> Result<(PartManifest, Side)> {
    let manifest = match rows.manifest.trim_start().starts_with('{') {
        true => Manifest::parse(&rows.manifest, "--manifest")?,
        false => Manifest::read(Path::new(&rows.manifest))?,
    };
    let part = match rows.part {
        PartName::Judged => Part::Judged,
        PartName::All => Part::All,
    };
    let side = match rows.side {
        SideName::Readers => Side::Readers,
        SideName::Books => Side::Books,
    };
    let about = manifest.part(part).cloned();
    let about = about.ok_or_else(|| {
        Error::new(Kind::NoRatings, format!("there is no part {} in this training", part.name()))
    })?;
    Ok((about, side))
}
