//! Delimited text: what a file of ratings or books looks like, and its records.
//!
//! Published ratings come in many dialects, and a person at a prompt seldom knows which. So the
//! first lines are looked at ([`Dialect::sniff`]), anything said on the command line wins, and
//! what cannot be told is an error that names the flag to give, never a guess.
//!
//! Records are cut here and not by a general CSV reader, because real dumps mix three ways of
//! writing a quote. A general reader follows one, and a stray quote then silently swallows every
//! line up to the next one. We know how many fields a record must have, so each line is read in
//! the way that gives that many; see [`Records`].

mod parquet;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use encoding_rs::WINDOWS_1252;

use crate::cli::{Encoding, FileKind, Hints};
use crate::console::plain;
use crate::error::{Error, Kind, Result, nearest};
use records::{Lines, cut_somehow, unreadable, whole};
pub use records::{Record, Records};

/// How much of a file, unpacked, is looked at.
const SAMPLE: usize = 64 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What one column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Field {
    User,
    Isbn,
    Rating,
    RatedAt,
    Title,
    Author,
    Year,
    Publisher,
    /// Nothing that is imported.
    Skip,
}

/// Names that columns go by, the best first: a file with both `isbn` and `book_id` means `isbn`.
/// Only letters and digits count, in either case.
const NAMES: [(Field, &[&str]); 8] = [
    (Field::User, &["user", "user_id", "reader", "reader_id"]),
    (Field::Isbn, &["isbn", "isbn13", "isbn10", "book_id", "movie_id", "item_id", "book", "item"]),
    (Field::Rating, &["rating", "book_rating", "stars"]),
    (Field::RatedAt, &["rated_at", "timestamp", "time", "date"]),
    (Field::Title, &["title", "book_title", "original_title"]),
    (Field::Author, &["author", "book_author", "authors"]),
    (Field::Year, &["year", "year_of_publication", "publication_year", "original_publication_year"]),
    (Field::Publisher, &["publisher"]),
];

/// The fields of a kind of file, in the order in which a file without a header has them.
fn usual_order(kind: FileKind) -> &'static [Field] {
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

/// What stands between two fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// a tab
    Tab,
    /// `::`, as in MovieLens; such files do not quote.
    Colons,
}

impl Separator {
    const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Colons];

    fn parse(text: &str) -> Result<Self> {
        let named = |separator: &Self| text == separator.text() || text == separator.to_string();
        match Self::ALL.iter().find(|separator| named(separator)) {
            Some(separator) => Ok(*separator),
            None if text == r"\t" => Ok(Self::Tab),
            None => Err(Error::new(Kind::Config, format!("--separator {text:?} is not understood"))
                .hint("give `,` `;` `tab` or `::`")),
        }
    }

    /// The separator as it stands in a file.
    pub fn text(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Tab => "\t",
            Self::Colons => "::",
        }
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Tab { "tab" } else { self.text() })
    }
}

/// How a file is written and what it holds.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// What stands between two fields.
    pub separator: Separator,
    /// How letters are stored in the lines that were looked at.
    pub encoding: Encoding,
    /// Whether the encoding was asked for, and so holds for every byte.
    pub forced: bool,
    /// Whether the first record names the columns.
    pub header: bool,
    /// What the text is packed in.
    pub packing: Packing,
    /// Ratings or books.
    pub kind: FileKind,
    /// What each column holds.
    pub columns: Vec<Field>,
    /// Columns of Parquet that cannot be read, and what they are.
    pub left_out: Vec<String>,
}

/// What the text of a file is packed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// nothing
    Plain,
    /// gzip
    Gzip,
    /// Parquet, whose rows become lines
    Parquet,
}

impl Dialect {
    /// Looks at the first lines of a file; what `hints` says about it is taken as said.
    ///
    /// # Errors
    /// [`Kind::Config`] if it cannot tell; [`Kind::NoInput`] if there is no such file,
    /// [`Kind::NoRatings`] if it is empty, [`Kind::Io`] if it is damaged.
    pub fn sniff(path: &Path, hints: &Hints) -> Result<Self> {
        let Lines { text, packing, left_out, .. } = Lines::open(path)?;
        let mut sample = Vec::new();
        text.take(SAMPLE as u64).read_to_end(&mut sample).map_err(|error| unreadable(&error, path))?;
        let dialect = Self::understand(&sample, hints, packing)
            .map_err(|error| error.while_doing(&path.display().to_string()))?;
        Ok(Self { left_out, ..dialect })
    }

    fn understand(sample: &[u8], hints: &Hints, packing: Packing) -> Result<Self> {
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
        let puzzled = |what: &str, hint: &str| {
            let line: String = plain(&decode(first.to_vec(), hints.encoding)).chars().take(200).collect();
            Error::new(Kind::Config, format!("cannot tell {what}; the first line is: {line}")).hint(hint)
        };

        let is_parquet = packing == Packing::Parquet;
        let asked = match is_parquet {
            true => Some(Separator::Comma),
            false => hints.separator.as_deref().map(Separator::parse).transpose()?,
        };
        let Some(separator) = asked.or_else(|| likeliest(&lines)) else {
            return Err(puzzled("what separates the fields", "say it with --separator"));
        };
        let width = usual_width(&lines, separator).0;
        let rows: Vec<Vec<String>> = lines
            .iter()
            .map(|line| whole(line, separator, width).unwrap_or_else(|| cut_somehow(line, separator, width)))
            .map(|row| row.into_iter().map(|field| decode(field, hints.encoding)).collect())
            .collect();
        let names = rows.first().map(|row| named(row)).unwrap_or_default();
        let known = names.iter().filter(|field| **field != Field::Skip).count();
        let has_names = hints.header.or(is_parquet.then_some(true));
        let header = has_names.unwrap_or_else(|| known >= 2 || digits_below_words(&rows));
        let body = &rows[usize::from(header)..];

        let mut columns: Vec<Field> = if !hints.columns.is_empty() {
            hints.columns.iter().map(|name| column(name)).collect::<Result<_>>()?
        } else if header && known > 0 {
            names
        } else {
            let kind = hints.kind.or_else(|| likely_kind(body, width));
            kind.map(usual_order).unwrap_or_default().iter().copied().take(width).collect()
        };
        // Not after names: were they fewer than the fields, nobody knew which is whose.
        if known == 0 || !header || !hints.columns.is_empty() {
            columns.resize(columns.len().max(width), Field::Skip);
        }
        let user = columns.contains(&Field::User);
        let kind = hints.kind.unwrap_or(if user { FileKind::Ratings } else { FileKind::Books });
        // Unless told, we want to see more than ids: MovieLens has a file of tags, with reader
        // and film, that is no file of ratings.
        let told = hints.kind.is_some() || !hints.columns.is_empty();
        let needed: &[Field] = match (kind, told) {
            (FileKind::Ratings, false) => &[Field::User, Field::Isbn, Field::Rating],
            (FileKind::Ratings, true) => &[Field::User, Field::Isbn],
            (FileKind::Books, false) => &[Field::Isbn, Field::Title],
            (FileKind::Books, true) => &[Field::Isbn],
        };
        if needed.iter().any(|field| !columns.contains(field)) {
            return Err(puzzled(
                "which column holds what",
                "say it with --columns user,isbn,rating or --columns isbn,title,author,year,publisher; \
                 `-` skips a column",
            ));
        }
        for column in &mut columns {
            if !usual_order(kind).contains(column) {
                *column = Field::Skip;
            }
        }
        let utf8 = std::str::from_utf8(text).is_ok();
        Ok(Self {
            separator,
            encoding: hints.encoding.unwrap_or(if utf8 { Encoding::Utf8 } else { Encoding::Latin1 }),
            forced: hints.encoding.is_some(),
            header,
            packing,
            kind,
            columns,
            left_out: Vec::new(),
        })
    }
}

/// "ratings (user, isbn, rating), `;` separated, UTF-8, gzip, header"
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
        if self.packing == Packing::Parquet {
            write!(f, "{kind} ({columns}), Parquet")?;
            let left_out = plain(&self.left_out.join(", "));
            return if left_out.is_empty() {
                Ok(())
            } else {
                write!(f, ", without {left_out}: only texts and numbers of 32 or 64 bits are read")
            };
        }
        let packed = if self.packing == Packing::Gzip { ", gzip" } else { "" };
        let header = if self.header { "header" } else { "no header" };
        write!(f, "{kind} ({columns}), `{}` separated, {encoding}{packed}, {header}", self.separator)
    }
}

/// The field that each name of a header stands for.
fn named(header: &[String]) -> Vec<Field> {
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
fn column(name: &str) -> Result<Field> {
    match named(&[name.to_owned()]).first() {
        Some(Field::Skip) | None if !matches!(name.trim(), "-" | "") => {
            let all = NAMES.iter().flat_map(|(_, names)| names.iter().copied());
            let meant = nearest(name, all).map(|near| format!("; did you mean {near}?"));
            let meant = meant.unwrap_or_default();
            Err(Error::new(Kind::Config, format!("--columns: there is no column {name}{meant}"))
                .hint("give user, isbn, rating, rated_at, title, author, year, publisher, or `-`"))
        }
        field => Ok(field.copied().unwrap_or(Field::Skip)),
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
    let mut seen = BTreeMap::new();
    for line in lines {
        *seen.entry(cut_somehow(line, separator, 0).len()).or_insert(0) += 1;
    }
    seen.into_iter().max_by_key(|(_, times)| *times).unwrap_or_default()
}

/// Whether the first row looks like names: ratings and books all hold digits somewhere, names of
/// columns hardly ever do.
fn digits_below_words(rows: &[Vec<String>]) -> bool {
    let digits = |text: &String| text.contains(|c: char| c.is_ascii_digit());
    let with_digits = rows.iter().filter(|row| row.iter().any(digits)).count();
    let on_top = rows.first().is_some_and(|row| row.iter().any(digits));
    !on_top && with_digits * 2 > rows.len().saturating_sub(1)
}

/// What rows without names look like: books if an ISBN and then words, ratings if a number is third.
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

/// A number as people write it, with a point or a comma; never infinite.
pub fn number(text: &str) -> Option<f64> {
    let parsed = text.parse::<f64>().or_else(|_| text.replace(',', ".").parse());
    parsed.ok().filter(|number| number.is_finite())
}

/// Text without blanks around it: UTF-8 where the bytes allow it, else Windows-1252, of which
/// Latin-1 is the part that dumps use.
fn decode(bytes: Vec<u8>, forced: Option<Encoding>) -> String {
    let latin1 = |bytes: &[u8]| WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned();
    let text = match forced {
        Some(Encoding::Utf8) => String::from_utf8_lossy(&bytes).into_owned(),
        Some(Encoding::Latin1) => latin1(&bytes),
        None => String::from_utf8(bytes).unwrap_or_else(|error| latin1(error.as_bytes())),
    };
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
}
