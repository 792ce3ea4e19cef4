//! Whether the ratings and the table of books go by the same names.

use std::collections::HashSet;

use crate::catalog::keys;
use crate::config::Config;
use crate::database::{Database, books, source};
use crate::error::Result;
use crate::text::{count, plain};

/// Where not one in so many rated books stands in the table of books, the two do not belong together.
const FEW: usize = 50;

/// How many rated books are looked for.
const SAMPLE: usize = 1000;

/// What to say if of `rated` books only `found` stand among the `rows` of the table of books; `None` if that is fine, or
/// there is no such table. `example` is a rated book.
pub fn doubt(config: &Config, rated: usize, found: usize, rows: u64, example: &str) -> Option<String> {
    if rows == 0 || rated == 0 || found * FEW > rated {
        return None;
    }
    let source = &config.source;
    let (some, are) = match found {
        0 => ("none".to_owned(), "is"),
        found => (format!("only {}", count(found)), "are"),
    };
    let column = if source.query.is_empty() { format!(" in {}", plain(&source.isbn)) } else { String::new() };
    Some(format!(
        "{some} of {} rated books {are} in table {}: ratings have {}{column}, books go by {}; so lists have no titles, and \
         authors count for nothing. Name the column that both share: book_isbn under [source] in the configuration file",
        count(rated),
        plain(&source.books),
        plain(example),
        plain(&source.book_isbn),
    ))
}

/// As [`doubt`], of some of the rated books, without reading them all.
///
/// # Errors
/// If a table cannot be read.
pub fn ask(database: &Database, config: &Config) -> Result<Option<String>> {
    let spellings = source::some_books(database, config, SAMPLE)?;
    let rated: HashSet<String> = spellings.iter().filter_map(|isbn| keys::key(isbn, config)).collect();
    let (rows, found) =
        books::read(database, config, Default::default, |seen: &mut (u64, HashSet<String>), isbn, _| {
            seen.0 += 1;
            seen.1.extend(keys::key(isbn, config).filter(|key| rated.contains(key)));
        })?;
    let example = spellings.first().map(String::as_str).unwrap_or_default();
    Ok(doubt(config, rated.len(), found.len(), rows, example))
}
