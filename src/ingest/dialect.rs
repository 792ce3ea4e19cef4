//! Finds out how a file is written and what its columns hold.
//!
//! Published ratings come in many dialects, and a person at a prompt seldom knows which. So
//! [`Dialect::sniff`] looks at the first records, anything given on the command line wins, and what the
//! records do not tell is an error that names the flag to give, never a guess.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use super::cutting::{Separator, cut_somehow, decode, whole};
use super::fields::{Field, folded, is_known, known};
use super::filter::{Condition, Filter};
use super::json::JsonRows;
use super::judge::{Judged, Sheet, puzzled};
use super::lines::{Container, Format, Lines};
use super::origin::{Origin, unreadable};
use super::parquet::ParquetRows;
use super::{DateOrder, Encoding, FileKind, Hints, sheet};
use crate::catalog::dates::{self, Evidence};
use crate::error::{Error, Kind, Result};
use crate::text::plain;

/// Bytes of the unpacked text that are looked at.
const SAMPLE: usize = 64 << 10;

/// Rows of other files that are looked at.
const SAMPLED_ROWS: usize = 1000;

/// Lines that may stand above the names of columns.
const ABOVE: usize = 10;

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
    /// Lines above that, with anything in them.
    pub skip: usize,
    pub container: Container,
    pub format: Format,
    /// What it is imported as: ratings, books, or first the one and then the other.
    pub kinds: Vec<FileKind>,
    /// Whether books go by ISBN in it.
    pub has_isbns: bool,
    /// In the order of the file.
    pub columns: Vec<Field>,
    /// The names of the columns; empty if there are none.
    pub names: Vec<String>,
    /// Columns that cannot be read: name and type.
    pub unreadable: Vec<String>,
    /// The reader of all records, where no column has one.
    pub user: Option<String>,
    /// Which records count.
    pub filter: Filter,
    /// Columns of whole numbers with a point, as pandas writes where there are gaps.
    pub floats: Vec<bool>,
    pub dates: DateOrder,
    pub(super) sheet: Option<String>,
    /// What was looked at.
    pub(super) sample: Vec<u8>,
}

/// The first rows of a file.
struct Page {
    rows: Vec<Vec<String>>,
    /// The number of fields that most rows have.
    width: usize,
    separator: Separator,
    is_utf8: bool,
    container: Container,
    format: Format,
    /// Whether the first row names the columns, if that is known.
    has_names: Option<bool>,
    /// Lines above the first row.
    above: usize,
}

impl Dialect {
    /// Looks at the first records of a file; `hints` are taken as given.
    ///
    /// # Errors
    /// [`Kind::Config`] if the records do not tell; [`Kind::NoInput`] if there is no such file,
    /// [`Kind::NoRatings`] if it is empty, [`Kind::Io`] if it is damaged.
    pub fn sniff(origin: &Origin, hints: &Hints) -> Result<Self> {
        Self::look(origin, hints).map_err(|error| error.while_doing(&origin.path.display().to_string()))
    }

    fn look(origin: &Origin, hints: &Hints) -> Result<Self> {
        let Lines { text, container, format, passed, .. } = Lines::open(origin)?;
        let page = |rows: Vec<Vec<String>>, width, has_names| Page {
            rows,
            width,
            separator: Separator::Comma,
            is_utf8: true,
            container,
            format,
            has_names,
            above: 0,
        };
        match format {
            Format::Lines => {
                let mut sample = Vec::new();
                text.take(SAMPLE as u64)
                    .read_to_end(&mut sample)
                    .map_err(|error| unreadable(&error, &origin.path))?;
                Self::of_text(&sample, hints, container)
            }
            Format::Json => {
                let mut sample = Vec::new();
                text.take(SAMPLE as u64)
                    .read_to_end(&mut sample)
                    .map_err(|error| unreadable(&error, &origin.path))?;
                let text = Box::new(std::io::Cursor::new(sample.clone()));
                let mut rows = JsonRows::new(text, origin.path.clone(), passed, &sample);
                let names = rows.columns().to_vec();
                let mut body = vec![names.clone()];
                while let Ok(Some(row)) = rows.next() {
                    body.push(row);
                }
                if body.len() == 1 {
                    return Err(Error::new(
                        Kind::Config,
                        "this looks like JSON, but holds no object that can be read",
                    )
                    .hint("write an object a line, or an array of objects"));
                }
                Ok(Self { sample, ..Self::of_page(&page(body, names.len(), Some(true)), hints)? })
            }
            Format::Parquet => {
                let mut rows = ParquetRows::open(&origin.path)?;
                let mut sample = vec![rows.columns().to_vec()];
                while sample.len() < SAMPLED_ROWS
                    && let Some(row) = rows.next()?
                {
                    sample.push(row);
                }
                let width = rows.columns().len();
                let dialect = Self::of_page(&page(sample, width, Some(true)), hints)?;
                Ok(Self { unreadable: rows.left_out, ..dialect })
            }
            Format::Sheet => {
                let (name, mut rows) = sheet::rows(&origin.path, hints.sheet.as_deref())?;
                rows.truncate(SAMPLED_ROWS);
                if rows.is_empty() {
                    return Err(Error::new(Kind::NoRatings, format!("the sheet {} is empty", plain(&name)))
                        .hint("--sheet NAME names another"));
                }
                let width = most_common(rows.iter().map(Vec::len)).0;
                rows.iter_mut().for_each(|row| row.resize(row.len().max(width), String::new()));
                let dialect = Self::of_page(&page(rows, width, hints.header), hints)?;
                Ok(Self { sheet: Some(name), ..dialect })
            }
        }
    }

    pub(super) fn of_text(sample: &[u8], hints: &Hints, container: Container) -> Result<Self> {
        if sample.contains(&0) {
            return Err(Error::new(Kind::Config, "this is no text")
                .hint("text in UTF-8, UTF-16 or Latin-1 is read, plain, in gzip or in zip; and XLSX, JSON and Parquet"));
        }
        let mut text = sample.strip_prefix(BYTE_ORDER_MARK).unwrap_or(sample);
        if let (SAMPLE.., Some(end)) = (sample.len(), text.iter().rposition(|byte| *byte == b'\n')) {
            text = &text[..end]; // The line after that was cut in the middle.
        }
        let mut lines: Vec<&[u8]> = text
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .filter(|line| !line.trim_ascii().is_empty())
            .collect();
        let mut asked = hints.separator.as_deref().map(Separator::parse).transpose()?;
        let mut above = 0;
        // Spreadsheets look for this line.
        if let Some(told) = lines.first().and_then(|line| line.strip_prefix(b"sep=")) {
            let told = std::str::from_utf8(told).ok().and_then(|told| Separator::parse(told.trim()).ok());
            (asked, above) = (asked.or(told), 1);
            lines.remove(0);
        }
        let Some(first) = lines.first() else {
            return Err(Error::new(Kind::NoRatings, "the file is empty"));
        };
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
        let (format, has_names) = (Format::Lines, hints.header);
        Self::of_page(&Page { rows, width, separator, is_utf8, container, format, has_names, above }, hints)
    }

    /// What the columns hold, by the first rows.
    fn of_page(page: &Page, hints: &Hints) -> Result<Self> {
        let Page { rows, width, separator, is_utf8, container, format, has_names, above } = page;
        // A title may stand above the names.
        let begins = |(_, row): &(usize, &Vec<String>)| filled(row) >= 2 && known(row) >= 2;
        let titles = match has_names {
            None if rows.first().is_some_and(|row| known(row) < 2) => {
                let found = rows.iter().take(ABOVE).enumerate().find(begins);
                // Only what is no record itself.
                found
                    .filter(|(place, _)| rows[..*place].iter().all(|row| filled(row) < 2))
                    .map_or(0, |(place, _)| place)
            }
            _ => 0,
        };
        let rows = &rows[titles..];
        let asks_by_name = hints.columns.iter().any(|word| word.contains('='));
        let header = has_names.unwrap_or_else(|| {
            asks_by_name || rows.first().is_some_and(|row| known(row) >= 2) || digits_below_words(rows)
        });
        let body = &rows[usize::from(header)..];
        let names = rows.first().filter(|_| header).cloned().unwrap_or_default();
        let sheet = Sheet {
            names: header.then_some(names.as_slice()),
            body,
            width: *width,
            separator: separator.text(),
        };
        let Judged { columns, kinds, is_personal, has_isbns } = sheet.judge(hints)?;
        let filter = Filter {
            conditions: hints
                .conditions
                .iter()
                .map(|text| Condition::parse(text, &names))
                .collect::<Result<_>>()?,
            state: columns
                .iter()
                .position(|field| *field == Field::State)
                .filter(|_| hints.conditions.is_empty())
                .map(|place| (place, names.get(place).cloned().unwrap_or_default())),
            needs_mark: is_personal && !columns.contains(&Field::State),
        };
        let floats = (0..columns.len()).map(|place| {
            matches!(columns[place], Field::User | Field::Isbn | Field::Year) && are_floats(body, place)
        });
        Ok(Self {
            separator: *separator,
            encoding: hints.encoding.unwrap_or(if *is_utf8 { Encoding::Utf8 } else { Encoding::Latin1 }),
            forced: hints.encoding.is_some(),
            header,
            skip: titles + above,
            container: *container,
            format: *format,
            dates: order_of_dates(body, &columns, hints)?,
            user: hints.user.clone().filter(|_| !columns.contains(&Field::User)),
            filter,
            floats: floats.collect(),
            kinds,
            has_isbns,
            columns,
            names,
            unreadable: Vec::new(),
            sheet: hints.sheet.clone(),
            sample: Vec::new(),
        })
    }

    /// The names of columns that have values, and are not imported.
    pub fn left_out(&self) -> Vec<&str> {
        let is_used = |field: &Field| match field {
            Field::State => self.filter.state.is_some(),
            field => self.kinds.iter().any(|kind| super::fields::wanted(*kind).contains(field)),
        };
        let names = self.names.iter().zip(&self.columns).filter(|(_, field)| !is_used(field));
        names.map(|(name, _)| name.as_str()).filter(|name| !name.trim().is_empty()).collect()
    }

    /// With the column of this name as the book, if there is one: ratings go by it.
    pub fn keyed_by(&mut self, name: &str) -> bool {
        let place = self.names.iter().position(|own| folded(own) == folded(name));
        let Some(place) = place.filter(|place| self.columns[*place] != Field::Isbn) else { return false };
        self.columns.iter_mut().filter(|field| **field == Field::Isbn).for_each(|field| *field = Field::Skip);
        self.columns[place] = Field::Isbn;
        true
    }

    /// The name of the column with the books.
    pub fn key(&self) -> Option<&str> {
        let place = self.columns.iter().position(|field| *field == Field::Isbn)?;
        self.names.get(place).map(String::as_str)
    }
}

fn filled(row: &[String]) -> usize {
    row.iter().filter(|text| !text.is_empty()).count()
}

/// Whether a column holds whole numbers, each with a point and zeros behind it.
fn are_floats(body: &[Vec<String>], place: usize) -> bool {
    let known =
        || body.iter().filter_map(|row| row.get(place)).filter(|text| !super::contents::is_missing(text));
    let is_float = |text: &String| {
        text.split_once('.').is_some_and(|(whole, zeros)| {
            whole.parse::<i64>().is_ok() && !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0')
        })
    };
    known().next().is_some() && known().all(is_float)
}

/// What comes first in the dates of a file.
fn order_of_dates(body: &[Vec<String>], columns: &[Field], hints: &Hints) -> Result<DateOrder> {
    let Some(place) = columns.iter().position(|field| *field == Field::RatedAt) else {
        return Ok(DateOrder::Auto);
    };
    if let Some(told) = hints.dates {
        return Ok(told.into());
    }
    let mut evidence = Evidence::default();
    let mut doubtful = None;
    for text in body.iter().filter_map(|row| row.get(place)) {
        let Some(written) = dates::read(text) else { continue };
        evidence.add(written);
        if written.seconds(DateOrder::Auto).is_none() {
            doubtful = doubtful.or(Some(text));
        }
    }
    match (evidence.order(), doubtful) {
        (DateOrder::Auto, Some(text)) => Err(Error::new(
            Kind::Config,
            format!("nothing says whether the day or the month comes first in dates such as {}", plain(text)),
        )
        .hint("say it: --dates day-first or --dates month-first")),
        (order, _) => Ok(order),
    }
}

/// Such as "ratings (user, isbn, rating), `;` separated, UTF-8, gzip, header".
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kinds.as_slice() {
            [FileKind::Ratings] => "ratings",
            [FileKind::Books] => "books",
            _ => "ratings and books",
        };
        let encoding = match self.encoding {
            Encoding::Utf8 => "UTF-8",
            Encoding::Latin1 => "Latin-1",
        };
        let shown = |field: &Field| match field {
            Field::State if self.filter.state.is_none() => Field::Skip.to_string(),
            field => field.to_string(),
        };
        let columns: Vec<String> = self.columns.iter().map(shown).collect();
        let columns = columns.join(", ");
        let packed = match self.container {
            Container::Plain => "",
            Container::Gzip => ", gzip",
            Container::Zip => ", zip",
        };
        match self.format {
            Format::Parquet => {
                write!(f, "{kind} ({columns}), Parquet")?;
                let left_out = plain(&self.unreadable.join(", "));
                if left_out.is_empty() {
                    return Ok(());
                }
                write!(f, ", without {left_out}: only texts and numbers of 32 or 64 bits are read")
            }
            Format::Json => write!(f, "{kind} ({columns}), JSON{packed}"),
            Format::Sheet => {
                write!(
                    f,
                    "{kind} ({columns}), XLSX, sheet {}",
                    plain(self.sheet.as_deref().unwrap_or_default())
                )
            }
            Format::Lines => {
                let header = if self.header { "header" } else { "no header" };
                write!(f, "{kind} ({columns}), `{}` separated, {encoding}{packed}, {header}", self.separator)
            }
        }
    }
}

/// The separator that finds names of columns in the first line, or else that cuts most lines into the same, large number of
/// fields.
fn likeliest(lines: &[&[u8]]) -> Option<Separator> {
    let score = |separator: &Separator| {
        let (width, times) = usual_width(lines, *separator);
        let first = lines.first().map(|line| cut_somehow(line, *separator, width)).unwrap_or_default();
        let first: Vec<String> = first.into_iter().map(|field| decode(field, None)).collect();
        (known(&first) >= 2, width.saturating_sub(1) * times)
    };
    // Reversed, because max_by_key gives the last of equals and the most usual is wanted.
    let likeliest = Separator::ALL.into_iter().rev().max_by_key(score);
    likeliest.filter(|separator| score(separator).1 > 0)
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
    // ISBN13 is a name all the same.
    let on_top = rows.first().is_some_and(|row| row.iter().any(|text| digits(text) && !is_known(text)));
    !on_top && with_digits * 2 > rows.len().saturating_sub(1)
}
