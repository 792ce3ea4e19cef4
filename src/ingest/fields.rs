//! What a column of a file can hold, and the names it goes by.

use std::fmt;

use super::FileKind;
use crate::error::{Error, Kind, Result, nearest};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    User,
    Isbn,
    Rating,
    RatedAt,
    Title,
    Author,
    Year,
    Publisher,
    Genre,
    Description,
    Series,
    Volume,
    /// Not imported.
    Skip,
}

/// Names of columns, the best first: a file with both `isbn` and `book_id` means `isbn`.
/// Only letters and digits count, in either case.
const NAMES: [(Field, &[&str]); 12] = [
    (Field::User, &["user", "user_id", "reader", "reader_id"]),
    (Field::Isbn, &["isbn", "isbn13", "isbn10", "book_id", "movie_id", "item_id", "book", "item"]),
    (Field::Rating, &["rating", "book_rating", "stars"]),
    (Field::RatedAt, &["rated_at", "timestamp", "time", "date"]),
    (Field::Title, &["title", "book_title", "original_title"]),
    (Field::Author, &["author", "book_author", "authors"]),
    (Field::Year, &["year", "year_of_publication", "publication_year", "original_publication_year"]),
    (Field::Publisher, &["publisher"]),
    (Field::Genre, &["genre", "genres", "subject", "subjects", "category", "categories"]),
    (Field::Description, &["description", "summary", "blurb"]),
    (Field::Series, &["series", "series_title", "series_name"]),
    (Field::Volume, &["volume", "series_index", "series_number"]),
];

/// The fields of a kind of file, in the order in which a file without a header has them.
pub(super) fn usual_order(kind: FileKind) -> &'static [Field] {
    use Field::{Author, Isbn, Publisher, RatedAt, Rating, Title, User, Year};
    match kind {
        FileKind::Ratings => &[User, Isbn, Rating, RatedAt],
        FileKind::Books => &[Isbn, Title, Author, Year, Publisher],
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.iter().find(|(field, _)| field == self).map(|(_, names)| *names);
        f.write_str(names.and_then(|names| names.first()).unwrap_or(&"-"))
    }
}

/// The field that each name of a header stands for.
pub(super) fn named(header: &[String]) -> Vec<Field> {
    let squash = |name: &str| -> String {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let header: Vec<String> = header.iter().map(|name| squash(name)).collect();
    let mut columns = vec![Field::Skip; header.len()];
    for (field, names) in NAMES {
        let mut places = names.iter().filter_map(|name| header.iter().position(|h| *h == squash(name)));
        if let Some(column) = places.next().and_then(|place| columns.get_mut(place)) {
            *column = field;
        }
    }
    columns
}

/// A column as named on the command line.
pub(super) fn column(name: &str) -> Result<Field> {
    match named(&[name.to_owned()]).first() {
        Some(Field::Skip) | None if !matches!(name.trim(), "-" | "") => {
            let all = NAMES.iter().flat_map(|(_, names)| names.iter().copied());
            let meant = nearest(name, all).map(|near| format!("; did you mean {near}?"));
            let meant = meant.unwrap_or_default();
            Err(Error::new(Kind::Config, format!("--columns: there is no column {name}{meant}"))
                .hint("give user, isbn, rating, rated_at, title, author, year, publisher, genre, description, series, volume, or `-`"))
        }
        field => Ok(field.copied().unwrap_or(Field::Skip)),
    }
}
