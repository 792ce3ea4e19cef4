//! `nightshelf init`: from an unknown database to a configuration file.

mod guess;

use std::path::Path;

use rusqlite::types::Value as SqlValue;
use serde_json::json;

use crate::config::Config;
use crate::console::{Console, count, plain};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::interrupt::Interrupt;
use crate::jobs::Outcome;
use crate::store::survey::{self, Surveyed};
use crate::store::{Database, quote};

use guess::{Guess, Shelf, Zeros};

/// Rows that are shown.
const ROWS: usize = 4;

/// Looks at a database, says what was found, and writes a configuration file for it.
///
/// # Errors
/// [`Kind::NoRatings`] if no table looks like ratings; [`Kind::Failed`] if the file is there already and
/// must not be written over; else as [`Database::open`].
pub fn init(
    db: &Path,
    out: &Path,
    force: bool,
    config: &Config,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let database = Database::open(db, config.output.patience(), interrupt.clone())?;
    let tables = survey::survey(&database)?;
    let guess = guess::guess(&tables).ok_or_else(|| nothing_found(&tables))?;
    let text = file(&guess, config.output.top);
    let checked = Config::from_toml(&text)?;
    if out.exists() && !force {
        return Err(Error::new(Kind::Failed, format!("{} is there already", out.display()))
            .hint("--out names another file, --force writes over this one"));
    }
    files::replace(out, text.as_bytes(), None)?;
    let program = std::env::current_exe().unwrap_or_else(|_| "nightshelf".into());
    let absolute = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (full_db, full_out) = (absolute(db), absolute(out));
    let crontab = format!(
        "17 4 * * *  {} run --quiet --db {} --config {}",
        word(&program),
        word(&full_db),
        word(&full_out)
    );
    let shown = shown(&guess, &tables, console);
    let (db_word, out_word) = (word(db), word(out));
    let text = format!(
        "{shown}
{wrote} {out}: look it through, and change what was guessed wrong.

{next}
  nightshelf run --db {db_word} --config {out_word} --dry-run
  nightshelf run --db {db_word} --config {out_word}
  nightshelf report --db {db_word} --config {out_word}

{nightly}
  {crontab}
",
        wrote = console.heading("Written:"),
        out = out.display(),
        next = console.heading("Next: try it without writing, then in earnest"),
        nightly = console.heading("Every night at 4:17, as a line of `crontab -e`"),
    );
    let json = json!({
        "source": checked.source,
        "items": checked.items,
        "file": out.display().to_string(),
        "crontab": crontab,
        "tables": tables.iter().map(|table| json!({ "name": table.name, "rows": table.rows })).collect::<Vec<_>>(),
    });
    Ok(Outcome { text, json, failure: None })
}

fn nothing_found(tables: &[Surveyed]) -> Error {
    let names: Vec<String> = tables
        .iter()
        .map(|table| format!("{} ({})", plain(&table.name), plain(&table.columns.join(", "))))
        .collect();
    let what =
        if names.is_empty() { "it is empty".to_owned() } else { format!("it has {}", names.join("; ")) };
    Error::new(Kind::NoRatings, format!("no table here looks like who read which book: {what}")).hint(
        "`nightshelf import` loads files; for tables that go by names of their own, write [source] by hand, as \
         in jobs/nightly.toml",
    )
}

/// A path as a shell takes it.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let safe = |c: char| c.is_alphanumeric() || "/._-+:@,".contains(c);
    if text.chars().all(safe) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// What was found, for people.
fn shown(guess: &Guess, tables: &[Surveyed], console: &Console) -> String {
    let table = |name: &str| tables.iter().find(|table| table.name == name);
    let sample = |name: &str, columns: &[&str]| {
        let Some(table) = table(name) else { return String::new() };
        let places: Vec<usize> =
            columns.iter().filter_map(|name| table.columns.iter().position(|other| other == name)).collect();
        let row = |row: &Vec<SqlValue>| places.iter().map(|place| show(&row[*place])).collect();
        let header: Vec<String> = columns.iter().map(|column| plain(column)).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        console.table(&header, table.sample.iter().take(ROWS).map(row).collect(), &[])
    };
    let rows = |name: &str| count(table(name).map_or(0, |table| table.rows));
    let mut columns = vec![guess.user.as_str(), guess.isbn.as_str()];
    columns.extend(guess.rating.as_deref());
    columns.extend(guess.rated_at.as_deref());
    let mut text = format!(
        "{}\n{}\n",
        console.heading(&format!("Ratings: table {}, {} rows", plain(&guess.ratings), rows(&guess.ratings))),
        sample(&guess.ratings, &columns)
    );
    let stars = match (&guess.rating, guess.zeros) {
        (None, _) => "no column of ratings: every row means \"read\"".to_owned(),
        (Some(rating), Some(Zeros::Unrated)) => format!("{rating} 0 is taken for \"read, not rated\""),
        (Some(rating), Some(Zeros::Dislike)) => format!("{rating} 0 is taken for a bad mark"),
        (Some(rating), None) => format!("stars in {rating}"),
    };
    let kind = match (guess.is_isbn, &guess.through) {
        (true, None) => format!("{} holds ISBNs", guess.isbn),
        (true, Some(number)) => format!("{} is the {number} of a book, and that has an ISBN", guess.isbn),
        (false, _) => format!("{} holds no ISBNs: each text or number is an item of its own", guess.isbn),
    };
    let time = guess.rated_at.as_ref().map_or("no times".to_owned(), |time| format!("times in {time}"));
    text.push_str(&format!(
        "  {}\n\n",
        plain(&format!("readers in {}; {kind}; {stars}; {time}", guess.user))
    ));
    match &guess.books {
        Some(Shelf { table, isbn, title, author, publisher }) => {
            let mut columns = vec![isbn.as_str()];
            columns.extend([title, author, publisher].into_iter().filter_map(|column| column.as_deref()));
            let head = format!("Books: table {}, {} rows", plain(table), rows(table));
            text.push_str(&format!("{}\n{}\n", console.heading(&head), sample(table, &columns)));
        }
        None => text.push_str("No table of books was found: lists are made all the same, without titles.\n"),
    }
    text
}

fn show(value: &SqlValue) -> String {
    const LONGEST: usize = 40;
    let text = match value {
        SqlValue::Null => "NULL".to_owned(),
        SqlValue::Integer(number) => number.to_string(),
        SqlValue::Real(number) => number.to_string(),
        SqlValue::Text(text) => plain(text),
        SqlValue::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
    };
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The configuration file.
fn file(guess: &Guess, top: usize) -> String {
    let mut text = String::from(
        "# Written by `nightshelf init`, from what the database looks like. A setting that is not here has its\n\
         # default; jobs/nightly.toml in nightshelf's sources explains them all.\n\n[source]\n",
    );
    let mut line = |comment: &str, key: &str, value: &str| {
        if !comment.is_empty() {
            text.push_str(&format!("# {comment}\n"));
        }
        text.push_str(&format!("{key} = {}\n", toml::Value::from(value)));
    };
    match (&guess.through, &guess.books) {
        (Some(number), Some(books)) => {
            let [ratings, table, user, book, isbn, number] =
                [&guess.ratings, &books.table, &guess.user, &guess.isbn, &books.isbn, number]
                    .map(|name| quote(name));
            let mut columns = format!("r.{user}, b.{isbn}");
            match (&guess.rating, &guess.rated_at) {
                (Some(rating), _) => columns.push_str(&format!(", r.{}", quote(rating))),
                (None, Some(_)) => columns.push_str(", 0"),
                (None, None) => {}
            }
            if let Some(time) = &guess.rated_at {
                columns.push_str(&format!(", r.{}", quote(time)));
            }
            line(
                "Ratings name books by number; this query gives reader, ISBN, rating and time.",
                "query",
                &format!("SELECT {columns} FROM {ratings} AS r JOIN {table} AS b ON b.{number} = r.{book}"),
            );
        }
        _ => {
            line("The table with the ratings, and its columns.", "table", &guess.ratings);
            line("", "user", &guess.user);
            line("", "isbn", &guess.isbn);
            line(
                "A number; \"\" means that there is none, and every row says \"read\".",
                "rating",
                guess.rating.as_deref().unwrap_or_default(),
            );
            line(
                "Of several ratings of one book by one reader the newest counts; \"\" if there is no time.",
                "rated_at",
                guess.rated_at.as_deref().unwrap_or_default(),
            );
        }
    }
    if let Some(Shelf { table, isbn, title, author, publisher }) = &guess.books {
        line(
            "The table with the books: titles for people, authors and publishers for better lists.",
            "books",
            table,
        );
        line("", "book_isbn", isbn);
        for (key, column) in [("title", title), ("author", author), ("publisher", publisher)] {
            if let Some(column) = column {
                line("", key, column);
            }
        }
    }
    match guess.zeros {
        Some(Zeros::Unrated) => {
            text.push_str("# The rating that means \"read, but not rated\".\nimplicit_rating = 0.0\n");
        }
        Some(Zeros::Dislike) => text.push_str(
            "# The rating that means \"read, but not rated\": one that does not occur, since 0 is a bad mark here.\n\
             implicit_rating = -1.0\n",
        ),
        None => {}
    }
    text.push_str("\n[items]\n# \"isbn\": all spellings of an ISBN are one book. \"text\": anything else.\n");
    text.push_str(&format!("key = \"{}\"\n", if guess.is_isbn { "isbn" } else { "text" }));
    text.push_str("\n[output]\n# Books for each reader. Ask for more than you show: some may be sold out.\n");
    text.push_str(&format!("top = {top}\n"));
    text
}
