//! Assigns a book to each spelling. Each distinct spelling is parsed once, however many rows have it.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::iter::once_with;

use polars::prelude::*;
use rayon::prelude::*;

use crate::catalog::ids::Items;
use crate::catalog::isbn::{self, Key, Mending, Reason};
use crate::catalog::rejects::{Example, Rejects};
use crate::config::{Config, Invalid, KeyKind};
use crate::error::Result;

/// Reason: leading zeros were put back.
pub const LOST_ZEROS: &str = "lost_zeros";

/// Reason: the check digit was put back, which a spreadsheet had cut off.
pub const LOST_CHECK_DIGIT: &str = "lost_check_digit";

/// Reason: another spelling of the same book is used more often.
pub const OTHER_SPELLING: &str = "other_spelling";

/// The books in a column of spellings.
#[derive(Debug)]
pub struct KeyedBooks {
    pub items: Items,
    /// For each row, the code of its book; `None` if the row is dropped.
    pub codes: Vec<Option<u32>>,
    /// Rows whose spelling was repaired or is not the book's usual one: [`LOST_ZEROS`], [`OTHER_SPELLING`].
    pub mended: Rejects,
    /// Kept rows whose key is no valid ISBN, by reason.
    pub opaque: Rejects,
    /// Rows that are dropped, by reason.
    pub dropped: Rejects,
}

/// The key of one spelling under `config`; `None` if the spelling is dropped. A short number is taken for an ISBN if it
/// can be one; [`Keying`] knows whether it is.
pub fn key(spelling: &str, config: &Config) -> Option<String> {
    Keying { config, numbers_are_isbns: true }.key(spelling).map(|(key, _)| key)
}

/// How spellings become keys in a catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Keying<'a> {
    config: &'a Config,
    /// Whether a short number that passes the check digit is an ISBN. If not, the catalogue has numbers of its own.
    numbers_are_isbns: bool,
}

impl<'a> Keying<'a> {
    /// As the books of a vocabulary have got their keys: counted as [`are_isbns`] does.
    pub fn of(items: &Items, config: &'a Config) -> Self {
        let is_isbn = |item: usize| items.isbn13(item).is_some();
        let rated = || (0..items.len()).filter(|item| items.is_rated(*item));
        let opaque = rated().filter(|item| !is_isbn(*item) && !is_asin(items.key(*item))).count();
        Self { config, numbers_are_isbns: opaque <= rated().filter(|item| is_isbn(*item)).count() }
    }

    /// The key of a spelling, and whether it is a valid ISBN-13; `None` if the spelling is dropped.
    pub fn key(&self, spelling: &str) -> Option<(String, bool)> {
        match self.judge(parsed(spelling, self.config)) {
            Normalised::Item { key, opaque, .. } => {
                Some((key, opaque.is_none() && self.config.items.key == KeyKind::Isbn))
            }
            Normalised::Dropped(_) => None,
        }
    }

    fn judge(&self, parsed: Parsed) -> Normalised {
        let item = |key, mended, opaque| Normalised::Item { key, mended, opaque };
        match (parsed, self.config.items.invalid) {
            (Parsed::Text(text), _) => item(text, None, None),
            (Parsed::Nothing, _) => Normalised::Dropped("missing_isbn"),
            (Parsed::Key(Key::Opaque { reason, .. }), _) if reason.names_no_book() => {
                Normalised::Dropped(reason.word())
            }
            (Parsed::Key(Key::Isbn { bare: Some(text), .. }), invalid) if !self.numbers_are_isbns => {
                match invalid {
                    Invalid::Keep => item(text, None, Some(Reason::OwnNumber)),
                    Invalid::Drop => Normalised::Dropped(Reason::OwnNumber.word()),
                }
            }
            (Parsed::Key(Key::Isbn { isbn13, mended, .. }), _) => item(isbn13, mended, None),
            (Parsed::Key(Key::Opaque { text, reason }), Invalid::Keep) => item(text, None, Some(reason)),
            (Parsed::Key(Key::Opaque { reason, .. }), Invalid::Drop) => Normalised::Dropped(reason.word()),
        }
    }
}

fn is_asin(key: &str) -> bool {
    key.len() == 10 && key.starts_with('B')
}

/// What a spelling looks like by itself.
#[derive(Clone, Debug)]
enum Parsed {
    /// Where books do not go by ISBN.
    Text(String),
    Nothing,
    Key(Key),
}

fn parsed(spelling: &str, config: &Config) -> Parsed {
    match config.items.key {
        KeyKind::Text => Parsed::Text(spelling.to_owned()),
        KeyKind::Isbn => isbn::parse(spelling).map_or(Parsed::Nothing, Parsed::Key),
    }
}

/// What becomes of a spelling.
#[derive(Debug)]
enum Normalised {
    Item { key: String, mended: Option<Mending>, opaque: Option<Reason> },
    Dropped(&'static str),
}

/// Whether no fewer books with these spellings have an ISBN than have none. What names no book says nothing, nor do Amazon's
/// own numbers, which stand where a book has no ISBN.
///
/// Books are counted, not spellings, as nothing else is left of a column in a vocabulary.
fn are_isbns(parsed: &[Parsed]) -> bool {
    let (mut isbns, mut others) = (HashSet::new(), HashSet::new());
    for parsed in parsed {
        match parsed {
            Parsed::Key(Key::Isbn { isbn13, .. }) => drop(isbns.insert(isbn13)),
            Parsed::Key(Key::Opaque { text, reason }) if !is_asin(text) && !reason.names_no_book() => {
                others.insert(text);
            }
            _ => {}
        }
    }
    others.len() <= isbns.len()
}

fn word(mending: Mending) -> &'static str {
    match mending {
        Mending::Zeros => LOST_ZEROS,
        Mending::CheckDigit => LOST_CHECK_DIGIT,
    }
}

/// A distinct spelling, and the rows that have it.
struct Spelling<'a> {
    text: &'a str,
    rows: GroupsIndicator<'a>,
    normalised: Normalised,
}

/// Assigns a book to each row by its column `isbn`; the column tells what its short numbers are, unless `keying` does.
pub fn assign(frame: &DataFrame, config: &Config, keying: Option<Keying<'_>>) -> Result<KeyedBooks> {
    let column = frame.column("isbn")?.str()?.rechunk();
    let grouped = frame.group_by(["isbn"])?;
    let groups: Vec<GroupsIndicator<'_>> = grouped.get_groups().iter().collect();
    let text = |rows: &GroupsIndicator<'_>| column.get(rows.first() as usize).unwrap_or_default();
    let parsed: Vec<Parsed> = groups.par_iter().map(|rows| parsed(text(rows), config)).collect();
    let keying = keying.unwrap_or_else(|| Keying { config, numbers_are_isbns: are_isbns(&parsed) });
    let spellings: Vec<Spelling<'_>> = groups
        .into_par_iter()
        .zip(parsed)
        .map(|(rows, parsed)| Spelling { text: text(&rows), rows, normalised: keying.judge(parsed) })
        .collect();

    let [mut mended, mut opaque, mut dropped] = [const { Rejects::new() }; 3];
    let mut kept: Vec<(u128, &str, &Spelling<'_>)> = Vec::with_capacity(spellings.len());
    let mut odd: Vec<(&Spelling<'_>, &'static str)> = Vec::new();
    for spelling in &spellings {
        match &spelling.normalised {
            Normalised::Item { key, mended, opaque } => {
                odd.extend(mended.map(|mending| (spelling, word(mending))));
                odd.extend(opaque.map(|reason| (spelling, reason.word())));
                kept.push((front(key), key, spelling));
            }
            Normalised::Dropped(reason) => odd.push((spelling, reason)),
        }
    }
    // Groups come in any order: sorting makes the examples the same every night.
    odd.sort_unstable_by_key(|(spelling, _)| spelling.text);
    for (spelling, reason) in odd {
        let rows = spelling.rows.len() as u64;
        match &spelling.normalised {
            Normalised::Item { key, mended: Some(_), .. } => {
                mended.add_many(
                    reason,
                    rows,
                    once_with(|| Example::note(format!("{} → {key}", spelling.text))),
                );
            }
            Normalised::Item { .. } => {
                opaque.add_many(reason, rows, once_with(|| Example::note(spelling.text)))
            }
            Normalised::Dropped(_) => {
                dropped.add_many(reason, rows, once_with(|| Example::isbn(spelling.text)))
            }
        }
    }

    // The catalogue uses the most frequent spelling of each key: the first in this order.
    kept.par_sort_unstable_by(|a, b| {
        let by_use = |spelling: &Spelling<'_>| Reverse(spelling.rows.len());
        let keys = a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1));
        keys.then_with(|| by_use(a.2).cmp(&by_use(b.2))).then_with(|| a.2.text.cmp(b.2.text))
    });
    let mut codes: Vec<Option<u32>> = vec![None; frame.height()];
    let (mut keys, mut names, mut is_isbn) = (Vec::new(), Vec::new(), Vec::new());
    for (_, key, spelling) in kept {
        if keys.last() != Some(&key) {
            keys.push(key);
            names.push(spelling.text);
            let opaque = matches!(spelling.normalised, Normalised::Item { opaque: Some(_), .. });
            is_isbn.push(!opaque && config.items.key == KeyKind::Isbn);
        } else if let Some(name) = names.last() {
            let example = once_with(|| Example::note(format!("{} = {name}", spelling.text)));
            mended.add_many(OTHER_SPELLING, spelling.rows.len() as u64, example);
        }
        let code = Some(keys.len() as u32 - 1);
        match &spelling.rows {
            GroupsIndicator::Idx((_, rows)) => rows.iter().for_each(|row| codes[*row as usize] = code),
            GroupsIndicator::Slice([first, length]) => {
                codes[*first as usize..][..*length as usize].fill(code);
            }
        }
    }
    let is_rated = vec![true; keys.len()];
    let items = Items::new(DataFrame::new_infer_height(vec![
        Column::new("key".into(), keys),
        Column::new("isbn".into(), names),
        Column::new("is_isbn".into(), is_isbn),
        Column::new("is_rated".into(), is_rated),
    ])?)?;
    Ok(KeyedBooks { items, codes, mended, opaque, dropped })
}

/// The first 16 bytes of a key as a number of the same order: most comparisons need no more.
fn front(key: &str) -> u128 {
    let mut bytes = [0; 16];
    let length = key.len().min(16);
    bytes[..length].copy_from_slice(&key.as_bytes()[..length]);
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(spellings: &[&str]) -> (Vec<String>, bool) {
        let config = Config::default();
        let frame =
            DataFrame::new_infer_height(vec![Column::new("isbn".into(), spellings)]).expect("a frame");
        let books = assign(&frame, &config, None).expect("keyed");
        let keys = books.codes.iter().map(|code| books.items.key(code.expect("kept") as usize).to_owned());
        // Whatever comes later is keyed as the column was.
        let later = Keying::of(&books.items, &config).numbers_are_isbns;
        (keys.collect(), later)
    }

    #[test]
    fn the_column_tells_what_its_short_numbers_are() {
        // One in eleven numbers passes the check digit.
        let own = ["9619658", "1234567", "2345678", "3456789", "4567890"];
        let (keys, later) = keyed(&own);
        assert_eq!((keys, later), (own.map(str::to_owned).to_vec(), false));
        let (keys, later) = keyed(&["9619658", "0306406152", "9780804429573"]);
        assert_eq!(keys, ["9780009619656", "9780306406157", "9780804429573"]);
        assert!(later);
        // More spellings are ISBNs, but fewer books.
        let (keys, later) = keyed(&["0306406152", "9780306406157", "0-306-40615-2", "a", "b", "c"]);
        assert_eq!((keys[0].as_str(), later), ("0306406152", false));
    }
}
