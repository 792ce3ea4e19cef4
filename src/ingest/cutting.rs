//! Cuts lines into fields, in whichever way gives one field per column.
//!
//! A general CSV reader will not do: real dumps mix three ways of writing a quote. Such a reader follows one
//! way, and a stray quote then silently swallows every line up to the next one.

use std::fmt;

use encoding_rs::WINDOWS_1252;

use super::Encoding;
use crate::error::{Error, Kind, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    Comma,
    Semicolon,
    Tab,
    Pipe,
    /// `::`, as in MovieLens; such files do not quote.
    Colons,
}

impl Separator {
    pub(super) const ALL: [Self; 5] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Pipe, Self::Colons];

    pub(super) fn parse(text: &str) -> Result<Self> {
        let named = |separator: &Self| text == separator.text() || text == separator.to_string();
        match Self::ALL.iter().find(|separator| named(separator)) {
            Some(separator) => Ok(*separator),
            None if text == r"\t" => Ok(Self::Tab),
            None if text == "pipe" => Ok(Self::Pipe),
            None => Err(Error::new(Kind::Config, format!("--separator {text:?} is not understood"))
                .hint("give `,` `;` `tab` `|` or `::`")),
        }
    }

    /// The separator as it stands in a file.
    pub fn text(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Tab => "\t",
            Self::Pipe => "|",
            Self::Colons => "::",
        }
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Tab { "tab" } else { self.text() })
    }
}

/// How quotes are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// A quote within quotes is written `\"` or `""`.
    Escaped,
    /// A quote within quotes is written `""`; a backslash is a plain character.
    Doubled,
    /// Quotes mean nothing; one at each end of a field is dropped.
    Ignored,
}

/// The fields of a line.
pub(super) type Fields = Vec<Vec<u8>>;

/// One way to read a line.
struct Reading {
    fields: Fields,
    /// A quote stands where a writer that reads quotes in this way would not have put one.
    is_strained: bool,
}

/// Cuts a line into fields; `None` if a quoted field is still open at the end.
fn cut(line: &[u8], separator: Separator, quotes: Quotes) -> Option<Reading> {
    let quotable = separator != Separator::Colons;
    let mark = separator.text().as_bytes();
    let (mut fields, mut is_strained) = (Vec::new(), false);
    let mut at = 0;
    loop {
        let start = at + blanks(&line[at..]);
        let opened = quotable && quotes != Quotes::Ignored && line.get(start) == Some(&b'"');
        let end = if opened {
            let (field, end, has_strays) = quoted(line, start + 1, mark, quotes)?;
            fields.push(field);
            is_strained |= has_strays;
            end
        } else {
            let found = line[at..].windows(mark.len()).position(|bytes| bytes == mark);
            let end = found.map_or(line.len(), |found| at + found);
            let mut field = line[at..end].trim_ascii();
            is_strained |= field.contains(&b'"');
            if quotable && quotes == Quotes::Ignored {
                field = field.strip_prefix(b"\"").unwrap_or(field);
                field = field.strip_suffix(b"\"").unwrap_or(field);
            }
            fields.push(field.to_vec());
            end
        };
        if end == line.len() {
            return Some(Reading { fields, is_strained });
        }
        at = end + mark.len();
    }
}

/// The quoted field whose content begins at `at`, where the separator after it begins, and whether stray quotes
/// are in it. Only a quote before a separator or the line's end closes the field: any other is part of the text.
fn quoted(line: &[u8], mut at: usize, mark: &[u8], quotes: Quotes) -> Option<(Vec<u8>, usize, bool)> {
    let (mut field, mut has_strays) = (Vec::new(), false);
    while let Some(&byte) = line.get(at) {
        let next = line.get(at + 1).copied();
        at += 1;
        match (byte, next) {
            (b'\\', Some(escaped @ (b'"' | b'\\'))) if quotes == Quotes::Escaped => {
                field.push(escaped);
                at += 1;
            }
            (b'"', Some(b'"')) => {
                field.push(b'"');
                at += 1;
            }
            (b'"', _) => {
                let end = at + blanks(&line[at..]);
                if end == line.len() || line[end..].starts_with(mark) {
                    return Some((field, end, has_strays));
                }
                field.push(b'"');
                has_strays = true;
            }
            _ => field.push(byte),
        }
    }
    None
}

/// The fields of a line that is a record by itself: every quote closed, and one field per column.
pub(super) fn whole(line: &[u8], separator: Separator, columns: usize) -> Option<Fields> {
    closed(line, separator, |fields| fields.len() == columns)
}

/// The fields of a line in which every quote is closed, and that are `right`.
///
/// The standard's way comes first where it has no stray quote, so that what a standard writer wrote comes back as it
/// was, with all its backslashes; then `\"`, as in Book-Crossing.
fn closed(line: &[u8], separator: Separator, right: impl Fn(&Fields) -> bool) -> Option<Fields> {
    let read = |quotes| cut(line, separator, quotes).filter(|reading| right(&reading.fields));
    let doubled = read(Quotes::Doubled);
    let reading = match doubled {
        Some(Reading { is_strained: false, .. }) => doubled,
        _ => read(Quotes::Escaped).or(doubled),
    };
    reading.map(|reading| reading.fields)
}

/// Whether a quoted field is still open at the end of a line, in one way of reading it or the other.
pub(super) fn may_go_on(line: &[u8], separator: Separator) -> bool {
    [Quotes::Doubled, Quotes::Escaped].into_iter().any(|quotes| cut(line, separator, quotes).is_none())
}

/// Fields of any line: with quotes ignored if that gives one per column, else in a way that closes them all.
pub(super) fn cut_somehow(line: &[u8], separator: Separator, columns: usize) -> Fields {
    let ignored = cut(line, separator, Quotes::Ignored).map(|reading| reading.fields).unwrap_or_default();
    if ignored.len() == columns {
        return ignored;
    }
    closed(line, separator, |_| true).unwrap_or(ignored)
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == b' ').count()
}

/// Trimmed text: UTF-8 where the bytes allow it, else Windows-1252, which includes the part of Latin-1
/// that dumps use.
pub(super) fn decode(bytes: Vec<u8>, forced: Option<Encoding>) -> String {
    let latin1 = |bytes: &[u8]| WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned();
    let text = match forced {
        Some(Encoding::Utf8) => String::from_utf8_lossy(&bytes).into_owned(),
        Some(Encoding::Latin1) => latin1(&bytes),
        None => String::from_utf8(bytes).unwrap_or_else(|error| latin1(error.as_bytes())),
    };
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
}
