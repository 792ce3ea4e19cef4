//! Assigns a book to each spelling. Each distinct spelling is parsed once, however many rows have it.

use std::cmp::Reverse;
use std::iter::once_with;

use polars::prelude::*;
use rayon::prelude::*;

use crate::catalog::ids::Items;
use crate::catalog::isbn::{self, Key, Reason};
use crate::catalog::rejects::{Example, Rejects};
use crate::config::{Config, Invalid, KeyKind};
use crate::error::Result;

/// Reason: leading zeros were put back.
pub const LOST_ZEROS: &str = "lost_zeros";

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

/// The key of one spelling under `config`; `None` if the spelling is dropped.
pub fn key(spelling: &str, config: &Config) -> Option<String> {
    key_and_kind(spelling, config).map(|(key, _)| key)
}

/// As [`key`], and whether the key is a valid ISBN-13.
pub fn key_and_kind(spelling: &str, config: &Config) -> Option<(String, bool)> {
    match normalised(spelling, config) {
        Normalised::Item { key, opaque, .. } => {
            Some((key, opaque.is_none() && config.items.key == KeyKind::Isbn))
        }
        Normalised::Dropped(_) => None,
    }
}

/// What becomes of a spelling.
#[derive(Debug)]
enum Normalised {
    Item { key: String, repaired: bool, opaque: Option<Reason> },
    Dropped(&'static str),
}

fn normalised(spelling: &str, config: &Config) -> Normalised {
    let item = |key, repaired, opaque| Normalised::Item { key, repaired, opaque };
    if config.items.key == KeyKind::Text {
        return item(spelling.to_owned(), false, None);
    }
    match (isbn::parse(spelling), config.items.invalid) {
        (Some(Key::Isbn { isbn13, repaired }), _) => item(isbn13, repaired, None),
        (Some(Key::Opaque { text, reason }), Invalid::Keep) => item(text, false, Some(reason)),
        (Some(Key::Opaque { reason, .. }), Invalid::Drop) => Normalised::Dropped(reason.word()),
        (None, _) => Normalised::Dropped("missing_isbn"),
    }
}

/// A distinct spelling, and the rows that have it.
struct Spelling<'a> {
    text: &'a str,
    rows: GroupsIndicator<'a>,
    normalised: Normalised,
}

/// Assigns a book to each row by its column `isbn`.
pub fn assign(frame: &DataFrame, config: &Config) -> Result<KeyedBooks> {
    let column = frame.column("isbn")?.str()?.rechunk();
    let grouped = frame.group_by(["isbn"])?;
    let groups: Vec<GroupsIndicator<'_>> = grouped.get_groups().iter().collect();
    let spellings: Vec<Spelling<'_>> = groups
        .into_par_iter()
        .map(|rows| {
            let text = column.get(rows.first() as usize).unwrap_or_default();
            Spelling { text, rows, normalised: normalised(text, config) }
        })
        .collect();

    let [mut mended, mut opaque, mut dropped] = [const { Rejects::new() }; 3];
    let mut kept: Vec<(u128, &str, &Spelling<'_>)> = Vec::with_capacity(spellings.len());
    let mut odd: Vec<(&Spelling<'_>, &'static str)> = Vec::new();
    for spelling in &spellings {
        match &spelling.normalised {
            Normalised::Item { key, repaired, opaque } => {
                odd.extend(repaired.then_some((spelling, LOST_ZEROS)));
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
            Normalised::Item { key, repaired: true, .. } => {
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
