//! `nightshelf generate`: makes manual pages and completions from the definitions of the command line.

use std::path::Path;

use clap::CommandFactory;

use super::Outcome;
use crate::cli::{Cli, Generate, Generated};
use crate::context::Context;
use crate::error::{Error, Kind, Result};

pub fn generate(context: Context<'_>, args: &Generate) -> Result<Outcome> {
    let mut command = Cli::command();
    let mut text = Vec::new();
    match &args.what {
        Generated::Completions { shell } => {
            clap_complete::generate(*shell, &mut command, "nightshelf", &mut text);
        }
        Generated::Man { out: Some(folder) } => {
            std::fs::create_dir_all(folder).map_err(|error| Error::file(&error, "make", folder))?;
            clap_mangen::generate_to(command, folder)
                .map_err(|error| Error::file(&error, "write", folder))?;
            context.console.say(format!("man        pages written to {}", folder.display()));
        }
        Generated::Man { out: None } => {
            let page = clap_mangen::Man::new(command).render(&mut text);
            page.map_err(|error| Error::file(&error, "write", Path::new("the page")))?;
        }
    }
    let text = String::from_utf8(text)
        .map_err(|error| Error::new(Kind::Failed, format!("what was generated is no text: {error}")))?;
    Ok(Outcome { text, ..Outcome::default() })
}
