//! `nightshelf demo`, for newcomers: makes up a bookshop, runs the nightly job on it, and shows some lists.

use std::path::Path;

use serde::Serialize;

use super::{Outcome, as_json};
use crate::cli::Demo;
use crate::console::Console;
use crate::context::Context;
use crate::database::titles::Titles;
use crate::demo::{self, ReaderShown};
use crate::error::Result;
use crate::pipeline::night::{self, Options};
use crate::run_summary::RunSummary;

/// The output as JSON.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    night: RunSummary,
    readers: Vec<ReaderShown>,
}

pub fn demo(context: Context<'_>, args: &Demo) -> Result<Outcome> {
    let (db, console) = (&args.db, context.console);
    demo::make(context, db)?;
    let night = night::run(context, db, Options::default())?.summary;
    let database = context.open(db)?;
    let titles = Titles::load(&database, context.config)?;
    let readers = database.read("looking at the lists", |connection| demo::readers(connection, &titles))?;
    let text = readers.iter().map(|reader| shown(reader, console)).collect::<String>();
    let text = text + &next_steps(db, console);
    Ok(Outcome { text, json: as_json(&Told { night, readers })?, failure: None })
}

fn shown(reader: &ReaderShown, console: &Console) -> String {
    let mut text = console.heading(&format!("\n{} (reader {}) liked\n", reader.name, reader.id));
    for (stars, title) in &reader.liked {
        text.push_str(&format!("  {stars:>4}  {title}\n"));
    }
    text.push_str("and would be shown\n");
    for (place, entry) in reader.list.iter().enumerate() {
        let stars = entry.stars.map_or(String::new(), |stars| format!("  ({stars:.1} stars expected)"));
        text.push_str(&format!("  {:>3}.  {}{stars}\n", place + 1, entry.title));
        if let Some(because) = &entry.because {
            text.push_str(&format!("        because of {because}\n"));
        }
    }
    text
}

fn next_steps(db: &Path, console: &Console) -> String {
    format!(
        "\n{heading}
  Ask the database yourself, as a web backend would:
    sqlite3 {db} \"SELECT rank, title, author, round(predicted_rating, 1) FROM recommendations
                    JOIN books USING (isbn) WHERE user_id = (SELECT min(user_id) FROM recommendations)
                    ORDER BY rank\"
  Readers whom the table does not know get:
    sqlite3 {db} \"SELECT rank, title, score FROM recommendations_popular JOIN books USING (isbn)
                    ORDER BY rank LIMIT 10\"
  Each night is written down:
    sqlite3 {db} \"SELECT run_id, kind, status, started_at, counts FROM nightshelf_runs\"

  With your own database:  nightshelf run --db FILE   (with cargo: cargo run --release -- run --db FILE)
",
        heading = console.heading("What next?"),
        db = db.display(),
    )
}
