//! Finds out how a file is written and what its columns hold.
//!
//! Published ratings come in many dialects, and a person at a prompt seldom knows which. So
//! [`Dialect::sniff`] looks at the first records, anything given on the command line wins, and what the
//! records do not tell is an error that names the flag to give, never a guess.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use super::cutting::{Separator, cut_somehow, decode, whole};
use super::fields::{Field, column, named, usual_order};
use super::lines::{Container, Lines, unreadable};
use super::parquet::ParquetRows;
use super::{Encoding, FileKind, Hints, number};
use crate::error::{Error, Kind, Result};
use crate::text::plain;

/// Bytes of the unpacked text that are looked at.
const SAMPLE: usize = 64 << 10;

/// Rows of a Parquet file that are looked at.
const SAMPLED_ROWS: usize = 1000;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a file is written and what it holds.
#[derive(Clone, Debug)]
pub struct Dialect {
    pub separator: Separator,
    /// Of the lines that were looked at.
    pub encoding: Encoding,
    /// Whether the encoding was given, and so holds for the whole file.
    pub forced: bool,
    /// Whether the first record names the columns.
    pub header: bool,
    pub container: Container,
    pub kind: FileKind,
    /// In the order of the file.
    pub columns: Vec<Field>,
    /// Parquet columns that cannot be read: name and type.
    pub left_out: Vec<String>,
}

/// The first rows of a file.
struct Page {
    rows: Vec<Vec<String>>,
    /// The number of fields that most rows have.
    width: usize,
    separator: Separator,
    is_utf8: bool,
    container: Container,
}

impl Dialect {
    /// Looks at the first records of a file; `hints` are taken as given.
    ///
    /// # Errors
    /// [`Kind::Config`] if the records do not tell; [`Kind::NoInput`] if there is no such file,
    /// [`Kind::NoRatings`] if it is empty, [`Kind::Io`] if it is damaged.
    pub fn sniff(path: &Path, hints: &Hints) -> Result<Self> {
        let Lines { text, container, .. } = Lines::open(path)?;
        let understood = if container == Container::Parquet {
            let mut rows = ParquetRows::open(path)?;
            let mut sample = vec![rows.columns().to_vec()];
            while sample.len() < SAMPLED_ROWS
                && let Some(row) = rows.next()?
            {
                sample.push(row);
            }
            let (width, separator) = (rows.columns().len(), Separator::Comma);
            let page = Page { rows: sample, width, separator, is_utf8: true, container };
            Self::of_page(&page, hints, Some(true)).map(|dialect| Self { left_out: rows.left_out, ..dialect })
        } else {
            let mut sample = Vec::new();
            text.take(SAMPLE as u64).read_to_end(&mut sample).map_err(|error| unreadable(&error, path))?;
            Self::of_text(&sample, hints, container)
        };
        understood.map_err(|error| error.while_doing(&path.display().to_string()))
    }

    pub(super) fn of_text(sample: &[u8], hints: &Hints, container: Container) -> Result<Self> {
        if sample.contains(&0) || sample.starts_with(b"\xff\xfe") || sample.starts_with(b"\xfe\xff") {
            return Err(Error::new(Kind::Config, "this is not text in UTF-8 or Latin-1")
                .hint("for UTF-16, `iconv -f UTF-16 -t UTF-8`; anything else must be saved as CSV first"));
        }
        let mut text = sample.strip_prefix(BYTE_ORDER_MARK).unwrap_or(sample);
        if let (SAMPLE.., Some(end)) = (sample.len(), text.iter().rposition(|byte| *byte == b'\n')) {
            text = &text[..end]; // The line after that was cut in the middle.
        }
        let lines: Vec<&[u8]> = text
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .filter(|line| !line.trim_ascii().is_empty())
            .collect();
        let Some(first) = lines.first() else {
            return Err(Error::new(Kind::NoRatings, "the file is empty"));
        };
        let asked = hints.separator.as_deref().map(Separator::parse).transpose()?;
        let Some(separator) = asked.or_else(|| likeliest(&lines)) else {
            let line = decode(first.to_vec(), hints.encoding);
            return Err(puzzled("what separates the fields", &line, "say it with --separator"));
        };
        let width = usual_width(&lines, separator).0;
        let rows = lines
            .iter()
            .map(|line| whole(line, separator, width).unwrap_or_else(|| cut_somehow(line, separator, width)))
            .map(|row| row.into_iter().map(|field| decode(field, hints.encoding)).collect())
            .collect();
        let is_utf8 = std::str::from_utf8(text).is_ok();
        Self::of_page(&Page { rows, width, separator, is_utf8, container }, hints, hints.header)
    }

    /// What the columns hold, by the first rows. `has_names`: whether the first row names them, if known.
    fn of_page(page: &Page, hints: &Hints, has_names: Option<bool>) -> Result<Self> {
        let Page { rows, width, separator, is_utf8, container } = page;
        let names = rows.first().map(|row| named(row)).unwrap_or_default();
        let known = names.iter().filter(|field| **field != Field::Skip).count();
        let header = has_names.unwrap_or_else(|| known >= 2 || digits_below_words(rows));
        let body = &rows[usize::from(header)..];

        let mut columns: Vec<Field> = if !hints.columns.is_empty() {
            hints.columns.iter().map(|name| column(name)).collect::<Result<_>>()?
        } else if header && known > 0 {
            names
        } else {
            let kind = hints.kind.or_else(|| likely_kind(body, *width));
            kind.map(usual_order).unwrap_or_default().iter().copied().take(*width).collect()
        };
        // Not after a header: if it has fewer names than there are fields, it is unclear which names which.
        if known == 0 || !header || !hints.columns.is_empty() {
            columns.resize(columns.len().max(*width), Field::Skip);
        }
        let user = columns.contains(&Field::User);
        let kind = hints.kind.unwrap_or(if user { FileKind::Ratings } else { FileKind::Books });
        // Unless told, ids alone are not enough: MovieLens has a file of tags, with reader and film, that
        // holds no ratings.
        let told = hints.kind.is_some() || !hints.columns.is_empty();
        let needed: &[Field] = match (kind, told) {
            (FileKind::Ratings, false) => &[Field::User, Field::Isbn, Field::Rating],
            (FileKind::Ratings, true) => &[Field::User, Field::Isbn],
            (FileKind::Books, false) => &[Field::Isbn, Field::Title],
            (FileKind::Books, true) => &[Field::Isbn],
        };
        if needed.iter().any(|field| !columns.contains(field)) {
            let first = rows.first().map(|row| row.join(separator.text())).unwrap_or_default();
            return Err(puzzled(
                "which column holds what",
                &first,
                "say it with --columns user,isbn,rating or --columns isbn,title,author,year,publisher; \
                 `-` skips a column",
            ));
        }
        for column in &mut columns {
            if !usual_order(kind).contains(column) {
                *column = Field::Skip;
            }
        }
        Ok(Self {
            separator: *separator,
            encoding: hints.encoding.unwrap_or(if *is_utf8 { Encoding::Utf8 } else { Encoding::Latin1 }),
            forced: hints.encoding.is_some(),
            header,
            container: *container,
            kind,
            columns,
            left_out: Vec::new(),
        })
    }
}

/// Such as "ratings (user, isbn, rating), `;` separated, UTF-8, gzip, header".
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FileKind::Ratings => "ratings",
            FileKind::Books => "books",
        };
        let encoding = match self.encoding {
            Encoding::Utf8 => "UTF-8",
            Encoding::Latin1 => "Latin-1",
        };
        let columns: Vec<String> = self.columns.iter().map(Field::to_string).collect();
        let columns = columns.join(", ");
        if self.container == Container::Parquet {
            write!(f, "{kind} ({columns}), Parquet")?;
            let left_out = plain(&self.left_out.join(", "));
            return if left_out.is_empty() {
                Ok(())
            } else {
                write!(f, ", without {left_out}: only texts and numbers of 32 or 64 bits are read")
            };
        }
        let packed = if self.container == Container::Gzip { ", gzip" } else { "" };
        let header = if self.header { "header" } else { "no header" };
        write!(f, "{kind} ({columns}), `{}` separated, {encoding}{packed}, {header}", self.separator)
    }
}

/// The separator that cuts most lines into the same, large number of fields.
fn likeliest(lines: &[&[u8]]) -> Option<Separator> {
    let score = |separator: &Separator| {
        let (width, times) = usual_width(lines, *separator);
        width.saturating_sub(1) * times
    };
    Separator::ALL.into_iter().max_by_key(score).filter(|separator| score(separator) > 0)
}

/// The number of fields that most lines have, and how many lines have it.
fn usual_width(lines: &[&[u8]], separator: Separator) -> (usize, usize) {
    most_common(lines.iter().map(|line| cut_somehow(line, separator, 0).len()))
}

/// The most frequent number, the greatest of equals, and how often it occurs.
fn most_common(numbers: impl Iterator<Item = usize>) -> (usize, usize) {
    let mut seen = BTreeMap::new();
    numbers.for_each(|number| *seen.entry(number).or_insert(0) += 1);
    seen.into_iter().max_by_key(|(_, times)| *times).unwrap_or_default()
}

/// Whether the first row looks like column names: rows of ratings and books have digits somewhere,
/// names hardly ever do.
fn digits_below_words(rows: &[Vec<String>]) -> bool {
    let digits = |text: &String| text.contains(|c: char| c.is_ascii_digit());
    let with_digits = rows.iter().filter(|row| row.iter().any(digits)).count();
    let on_top = rows.first().is_some_and(|row| row.iter().any(digits));
    !on_top && with_digits * 2 > rows.len().saturating_sub(1)
}

/// The likely kind of rows without names: books if an ISBN and words are first, ratings if a number is third.
fn likely_kind(rows: &[Vec<String>], width: usize) -> Option<FileKind> {
    let most = |is: fn(&str) -> bool, place: usize| {
        let hits = rows.iter().filter(|row| row.get(place).is_some_and(|text| is(text))).count();
        hits * 10 > rows.len() * 8
    };
    let isbn = |text: &str| {
        let code = text.replace(['-', ' '], "");
        (9..=13).contains(&code.len()) && code.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'x' | b'X'))
    };
    let words = |text: &str| text.contains(' ') || !text.contains(|c: char| c.is_ascii_digit());
    match width {
        2.. if most(isbn, 0) && most(words, 1) => Some(FileKind::Books),
        3..=4 if most(|text| number(text).is_some(), 2) => Some(FileKind::Ratings),
        _ => None,
    }
}

fn puzzled(what: &str, first: &str, hint: &str) -> Error {
    let line: String = plain(first).chars().take(200).collect();
    Error::new(Kind::Config, format!("cannot tell {what}; the first line is: {line}")).hint(hint)
}
