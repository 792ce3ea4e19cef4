//! Writes what `init` found as a configuration file.

use crate::database::quote;
use crate::ingest::columns::{BooksTable, Event, Guess, Place, Readings, StateColumn, Zeros};

/// The query that gives reader, book, rating, time and, of several tables, how much a row of each counts.
pub(super) fn query(guess: &Guess) -> String {
    let is_one = guess.readings.len() == 1;
    let has_times = guess.readings.iter().any(|readings| readings.rated_at.is_some());
    let unrated = if guess.zeros() == Some(Zeros::Dislike) { "-1" } else { "0" };
    let selects = guess.readings.iter().map(|readings| {
        let alias = Aliases::of(readings);
        let rating = readings.rating.as_ref().map_or(unrated.to_owned(), |place| alias.column(place));
        let mut columns = vec![
            format!("{} AS user_id", alias.column(&readings.user)),
            format!("{} AS isbn", alias.column(&readings.isbn)),
            format!("{rating} AS rating"),
        ];
        let time = readings.rated_at.as_ref().map_or("NULL".to_owned(), |place| alias.column(place));
        if has_times || !is_one {
            columns.push(format!("{time} AS rated_at"));
        }
        if !is_one {
            columns.push(format!("{:.1} AS weight", readings.event.map_or(1.0, Event::weight)));
        }
        format!("SELECT {}\n{}", columns.join(", "), alias.from(readings))
    });
    selects.collect::<Vec<_>>().join("\nUNION ALL\n")
}

/// The tables of a query, as a, b, c: the one with the readings, and those that it leads to.
struct Aliases<'a>(Vec<&'a str>);

impl<'a> Aliases<'a> {
    fn of(readings: &'a Readings) -> Self {
        let joined = readings.joins.iter().map(|join| join.table.as_str());
        Self([readings.table.as_str()].into_iter().chain(joined).collect())
    }

    fn alias(&self, table: &str) -> char {
        let place = self.0.iter().position(|other| *other == table).unwrap_or_default();
        char::from(b'a' + place as u8)
    }

    fn column(&self, place: &Place) -> String {
        format!("{}.{}", self.alias(&place.table), quote(&place.column))
    }

    /// From `FROM` on.
    fn from(&self, readings: &Readings) -> String {
        let mut sql = format!("FROM {} AS a", quote(&readings.table));
        for join in &readings.joins {
            let (table, name) = (quote(&join.table), self.alias(&join.table));
            let (own, from) = (quote(&join.column), self.column(&join.from));
            sql += &format!(" JOIN {table} AS {name} ON {name}.{own} = {from}");
        }
        let state = readings.state.as_ref().filter(|state| !state.unread.is_empty());
        if let Some(StateColumn { place, unread, .. }) = state {
            let unread: Vec<String> =
                unread.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
            let column = self.column(place);
            sql += &format!("\nWHERE CAST(coalesce({column}, '') AS TEXT) NOT IN ({})", unread.join(", "));
        }
        sql
    }
}

/// A text as TOML, on lines of its own if it has several.
fn toml_text(text: &str) -> String {
    match text.contains('\n') && !text.contains(r#"""""#) && !text.contains(['\\', '\r']) {
        true => format!("\"\"\"\n{text}\n\"\"\""),
        false => toml::Value::from(text).to_string(),
    }
}

pub(super) fn config_file(guess: &Guess, top: usize) -> String {
    let mut text = String::from(
        "# Written by `nightshelf init`, from what the database looks like. A setting that is not here has its\n\
         # default; jobs/nightly.toml in nightshelf's sources explains them all.\n\n[source]\n",
    );
    let mut line = |comment: &str, key: &str, value: &str| {
        if !comment.is_empty() {
            text.push_str(&format!("# {comment}\n"));
        }
        text.push_str(&format!("{key} = {}\n", toml_text(value)));
    };
    match guess.needs_query() {
        true => {
            let comment = match guess.readings.len() {
                1 => "Who read which book, the stars if there are any, and when.",
                _ => "Who read which book, the stars if there are any, when, and how much it counts.",
            };
            line(comment, "query", &query(guess));
        }
        false => {
            let found = &guess.readings[0];
            let column =
                |place: &Option<Place>| place.as_ref().map_or(String::new(), |place| place.column.clone());
            line("The table with the ratings, and its columns.", "table", &found.table);
            line("", "user", &found.user.column);
            line("", "isbn", &found.isbn.column);
            line(
                "A number; \"\" means that there is none, and every row says \"read\".",
                "rating",
                &column(&found.rating),
            );
            line(
                "Of several ratings of one book by one reader the newest counts; \"\" if there is no time.",
                "rated_at",
                &column(&found.rated_at),
            );
        }
    }
    if let Some(BooksTable { table, isbn, title, author, publisher }) = &guess.books {
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
    match guess.zeros() {
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
    text.push_str(&format!("key = \"{}\"\n", if guess.readings[0].is_isbn { "isbn" } else { "text" }));
    text.push_str("\n[output]\n# Books for each reader. Ask for more than you show: some may be sold out.\n");
    text.push_str(&format!("top = {top}\n"));
    text
}
