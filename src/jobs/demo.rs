//! The first thing that a newcomer runs: a made-up bookshop, the real job, and what came of it.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::config::Config;
use crate::console::{Console, count};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::jobs::bookshop::Bookshop;
use crate::jobs::nightly::{self, Night};
use crate::store::Database;
use crate::store::lock::Lock;
use crate::store::titles::Titles;

/// Readers that are shown.
const SHOWN: usize = 3;
/// Books that are shown of each.
const BOOKS: usize = 5;

/// Makes the bookshop, runs the nightly job on it, and shows what a few readers would see.
///
/// # Errors
/// [`Kind::Failed`] if there is a file of that name that no demo made.
pub fn demo(db: &Path, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<Outcome> {
    make(db, config, console, interrupt)?;
    let night = nightly::run(&Night { db, config, dry_run: false, force: false }, console, interrupt)?;
    let patience = config.output.patience();
    let database = Database::open(db, patience, interrupt.clone())?;
    let titles = Titles::load(&database, config)?;
    let readers = database.read("looking at the lists", |connection| readers(connection, &titles))?;
    let text =
        readers.iter().map(|reader| reader.text(console)).collect::<String>() + &next_steps(db, console);
    let mut json = night.json;
    json["readers"] = readers.iter().map(Reader::json).collect();
    Ok(Outcome { text, json, failure: None })
}

/// Makes the database, in place of an earlier demo's.
fn make(db: &Path, config: &Config, console: &Console, interrupt: &Interrupt) -> Result<()> {
    let patience = config.output.patience();
    if db.exists() {
        let earlier = Database::open(db, patience, interrupt.clone())?;
        let sql = "SELECT 1 FROM nightshelf_meta WHERE key = 'demo'";
        let made_by_demo = earlier.read("looking at the database", |connection| {
            Ok(connection.query_row(sql, [], |_| Ok(())).is_ok())
        })?;
        if !made_by_demo {
            return Err(Error::new(
                Kind::Failed,
                format!("{} is there already, and no demo made it", db.display()),
            )
            .hint("choose another file with --db; the demo never touches a database of yours"));
        }
        let folder = earlier.folder();
        // Not under the hands of another demo.
        let _lock = Lock::take(&earlier)?;
        drop(earlier);
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut path = db.as_os_str().to_owned();
            path.push(suffix);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file(&error, "remove", Path::new(&path)));
                }
                _ => {}
            }
        }
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|error| Error::file(&error, "remove", &folder))?;
        }
    }
    let shop = Bookshop::new(config.model.seed);
    let mut database = Database::open_or_create(db, patience, interrupt.clone())?;
    crate::store::own_tables::prepare(&mut database)?;
    database.write("making the bookshop", |transaction| {
        Ok(transaction.execute("INSERT OR REPLACE INTO nightshelf_meta VALUES ('demo', 'bookshop')", [])?)
    })?;
    shop.write(&mut database)?;
    console.say(format!(
        "bookshop   {}: {} books, {} readers, {} ratings, as messy as real ones",
        db.display(),
        count(shop.books.len()),
        count(shop.readers.len()),
        count(shop.ratings.len()),
    ));
    Ok(())
}

/// A reader, what they liked, and what they would be shown.
struct Reader {
    id: i64,
    name: String,
    liked: Vec<(f64, String)>,
    list: Vec<Entry>,
}

struct Entry {
    isbn: String,
    title: String,
    stars: Option<f64>,
    because: Option<String>,
}

impl Reader {
    fn text(&self, console: &Console) -> String {
        let mut text = console.heading(&format!("\n{} (reader {}) liked\n", self.name, self.id));
        for (stars, title) in &self.liked {
            text.push_str(&format!("  {stars:>4}  {title}\n"));
        }
        text.push_str("and would be shown\n");
        for (place, entry) in self.list.iter().enumerate() {
            let stars = entry.stars.map_or(String::new(), |stars| format!("  ({stars:.1} stars expected)"));
            text.push_str(&format!("  {:>3}.  {}{stars}\n", place + 1, entry.title));
            if let Some(because) = &entry.because {
                text.push_str(&format!("        because of {because}\n"));
            }
        }
        text
    }

    fn json(&self) -> Value {
        let entry = |entry: &Entry| {
            json!({
                "isbn": entry.isbn,
                "title": entry.title,
                "predicted_rating": entry.stars,
                "because": entry.because,
            })
        };
        json!({
            "user_id": self.id,
            "name": self.name,
            "liked": self.liked.iter().map(|(stars, title)| json!([stars, title])).collect::<Vec<_>>(),
            "recommended": self.list.iter().map(entry).collect::<Vec<_>>(),
        })
    }
}

/// Some readers with enough ratings to see a taste in.
fn readers(connection: &Connection, titles: &Titles) -> Result<Vec<Reader>> {
    let mut chosen = connection.prepare(include_str!("../../sql/demo_readers.sql"))?;
    let mut liked = connection.prepare(
        "SELECT max(CAST(rating AS REAL)) AS stars, isbn FROM ratings WHERE user_id = ?1 AND rating BETWEEN 1 AND 10 \
         GROUP BY isbn ORDER BY stars DESC, rated_at DESC LIMIT 40",
    )?;
    let mut list = connection.prepare(
        "SELECT isbn, predicted_rating, because FROM recommendations WHERE user_id = ?1 ORDER BY rank LIMIT ?2",
    )?;
    let ids = chosen
        .query_map([SHOWN as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let mut readers = Vec::new();
    for (id, name) in ids {
        let mut best: Vec<(f64, String)> = Vec::new();
        for row in liked.query_map([id], |row| Ok((row.get(0)?, text(row.get_ref(1)?))))? {
            let (stars, spelling): (f64, String) = row?;
            let title = titles.of(&spelling);
            // The same book may be there in two spellings.
            if titles.has(&spelling) && best.len() < BOOKS && best.iter().all(|(_, other)| *other != title) {
                best.push((stars, title));
            }
        }
        let list = list
            .query_map((id, BOOKS as i64), |row| {
                let (isbn, because): (String, Option<String>) = (row.get(0)?, row.get(2)?);
                Ok(Entry {
                    title: titles.of(&isbn),
                    isbn,
                    stars: row.get(1)?,
                    because: because.map(|isbn| titles.of(&isbn)),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        readers.push(Reader { id, name, liked: best, list });
    }
    Ok(readers)
}

fn text(value: rusqlite::types::ValueRef<'_>) -> String {
    match value {
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
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
