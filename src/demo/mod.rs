//! The demo: makes a database with a made-up bookshop, and picks readers to show.

mod bookshop;
mod words;

use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;

use crate::context::Context;
use crate::database::lock::Lock;
use crate::database::titles::Titles;
use crate::database::{Database, own_tables, values};
use crate::error::{Error, Kind, Result};
use crate::text::count;
use bookshop::Bookshop;

/// How many readers are shown.
const SHOWN: usize = 3;
/// How many liked, and how many recommended books are shown of each reader.
const BOOKS: usize = 5;

/// Makes the database; it replaces that of an earlier demo.
///
/// # Errors
/// [`Kind::Failed`] if the file exists and no demo made it.
pub fn make(context: Context<'_>, db: &Path) -> Result<()> {
    let Context { config, console, interrupt } = context;
    if db.exists() {
        let earlier = context.open(db)?;
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
        // No other demo may be at work on it.
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
    let mut database = Database::open_or_create(db, config.output.patience(), interrupt.clone())?;
    own_tables::prepare(&mut database)?;
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

#[derive(Debug, Serialize)]
pub struct ReaderShown {
    #[serde(rename = "user_id")]
    pub id: i64,
    pub name: String,
    /// Stars and titles.
    pub liked: Vec<(f64, String)>,
    #[serde(rename = "recommended")]
    pub list: Vec<EntryShown>,
}

#[derive(Debug, Serialize)]
pub struct EntryShown {
    pub isbn: String,
    pub title: String,
    #[serde(rename = "predicted_rating")]
    pub stars: Option<f64>,
    /// The title of the reader's own book.
    pub because: Option<String>,
}

/// Picks some readers with enough ratings to show their taste.
pub fn readers(connection: &Connection, titles: &Titles) -> Result<Vec<ReaderShown>> {
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
        for row in liked.query_map([id], |row| {
            Ok((row.get(0)?, values::text(row.get_ref(1)?).unwrap_or_default().into_owned()))
        })? {
            let (stars, spelling): (f64, String) = row?;
            let title = titles.of(&spelling);
            // The same book may be rated in two spellings.
            if titles.has(&spelling) && best.len() < BOOKS && best.iter().all(|(_, other)| *other != title) {
                best.push((stars, title));
            }
        }
        let list = list
            .query_map((id, BOOKS as i64), |row| {
                let (isbn, because): (String, Option<String>) = (row.get(0)?, row.get(2)?);
                Ok(EntryShown {
                    title: titles.of(&isbn),
                    isbn,
                    stars: row.get(1)?,
                    because: because.map(|isbn| titles.of(&isbn)),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        readers.push(ReaderShown { id, name, liked: best, list });
    }
    Ok(readers)
}
