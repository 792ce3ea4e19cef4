//! Tables as people might have them, in every form in which files come, whole and damaged: for property tests.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Each case takes a database: few of them unless more are asked for.
pub fn some_cases() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if asked { ProptestConfig::default().cases } else { 40 };
    ProptestConfig { cases, ..ProptestConfig::default() }
}

/// Names of columns, and a text for each in every row.
#[derive(Clone, Debug)]
pub struct Table {
    pub names: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A file format, and how it is used.
#[derive(Clone, Debug)]
pub enum Form {
    Text { separator: &'static str, line_end: &'static str, letters: Letters },
    JsonLines,
    JsonArray,
    Workbook,
}

#[derive(Clone, Copy, Debug)]
pub enum Letters {
    Utf8,
    Utf8WithMark,
    Utf16Le,
    Utf16Be,
}

/// What a file is packed in.
#[derive(Clone, Copy, Debug)]
pub enum Package {
    Plain,
    Gzip,
    Zip,
}

/// Something that happens to a file on its way.
#[derive(Clone, Debug)]
pub enum Damage {
    Changed(Index, u8),
    Lost(Index, u8),
    Doubled(Index, u8),
    CutOff(Index),
}

const BOOKS: [&str; 8] = [
    "9780306406157",
    "0306406152",
    "0-8044-2957-X",
    "978-0-8044-2957-3",
    "9791032702284",
    "0439023483",
    "B000FC1PJI",
    "9780141439518",
];

const NAMES: [&str; 36] = [
    "user_id",
    "User-ID",
    "reader",
    "customer",
    "Kundennummer",
    "reviewerID",
    "member",
    "isbn",
    "ISBN13",
    "book_id",
    "ean",
    "parent_asin",
    "product_id",
    "rating",
    "Book-Rating",
    "stars",
    "overall",
    "My Rating",
    "Bewertung",
    "timestamp",
    "rated_at",
    "created_at",
    "Date Read",
    "datum",
    "title",
    "Book-Title",
    "name",
    "author",
    "publisher",
    "year",
    "status",
    "Exclusive Shelf",
    "is_read",
    "id",
    "note",
    "average_rating",
];

/// A column: its values are of one kind, but for gaps and slips.
fn column(rows: usize) -> BoxedStrategy<Vec<String>> {
    let of = |values: BoxedStrategy<String>| {
        let slip = prop_oneof![
            select(vec!["", "NULL", "nan", "0", "-", "x"]).prop_map(String::from),
            "[ -~\u{e0}-\u{ff}\u{3b1}]{0,12}"
        ];
        let value = prop_oneof![12 => values, 1 => slip].prop_map(|text| text.trim().to_owned());
        prop::collection::vec(value, rows).boxed()
    };
    let one_of = |values: &'static [&'static str]| select(values).prop_map(String::from).boxed();
    let times = select(vec![
        "%Y-%m-%d",
        "%Y-%m-%d %H:%M:%S",
        "%d/%m/%Y",
        "%d.%m.%Y %H:%M",
        "%a, %d %b %Y %H:%M:%S +0000",
        "%s",
    ]);
    prop_oneof![
        of(one_of(&BOOKS)),
        of((0..40u32).prop_map(|number| number.to_string()).boxed()),
        of((0..40u32).prop_map(|number| format!("{number}.0")).boxed()),
        of("[a-e]{1,3}".boxed()),
        of("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-9[0-9a-f]{3}-[0-9a-f]{12}".boxed()),
        of((0..11u8).prop_map(|stars| stars.to_string()).boxed()),
        of((0..10u8).prop_map(|half| (f64::from(half) / 2.0).to_string()).boxed()),
        of(one_of(&["read", "to-read", "finished", "did-not-finish", "wishlist", "1", "0", "true"])),
        of("[A-Z][a-z]{1,6}[ ,;:'\"|&]{1,2}[a-z\u{e9}\"]{1,6}".boxed()),
        of("[ -~\t\u{80}-\u{2ff}]{0,16}".boxed()),
        (times, prop::collection::vec(600_000_000..1_900_000_000i64, rows)).prop_map(|(form, seconds)| {
            let text = |seconds: i64| {
                chrono::DateTime::from_timestamp(seconds, 0).map(|time| time.format(form).to_string())
            };
            seconds.into_iter().filter_map(text).collect()
        }),
    ]
    .boxed()
}

pub fn table() -> impl Strategy<Value = Table> {
    (2..7usize, 1..16usize).prop_flat_map(|(width, height)| {
        let names = prop::sample::subsequence(NAMES.to_vec(), width).prop_shuffle();
        (names, prop::collection::vec(column(height), width)).prop_map(move |(names, columns)| Table {
            names: names.into_iter().map(String::from).collect(),
            rows: (0..height).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect(),
        })
    })
}

pub fn form() -> impl Strategy<Value = Form> {
    let letters =
        select(vec![Letters::Utf8, Letters::Utf8, Letters::Utf8WithMark, Letters::Utf16Le, Letters::Utf16Be]);
    prop_oneof![
        4 => (select(vec![",", ";", "\t", "|"]), select(vec!["\n", "\r\n", "\r"]), letters)
            .prop_map(|(separator, line_end, letters)| Form::Text { separator, line_end, letters }),
        1 => Just(Form::JsonLines),
        1 => Just(Form::JsonArray),
        2 => Just(Form::Workbook),
    ]
}

pub fn package() -> impl Strategy<Value = Package> {
    select(vec![Package::Plain, Package::Plain, Package::Gzip, Package::Zip])
}

pub fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Changed(at, byte)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Damage::Lost(at, length)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Damage::Doubled(at, length)),
        1 => any::<Index>().prop_map(Damage::CutOff),
    ];
    prop::collection::vec(one, 0..4)
}

impl Damage {
    pub fn happen(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        let part = |at: &Index, many: u8| {
            let start = at.index(length);
            start..(start + 1 + many as usize).min(length)
        };
        match self {
            Self::Changed(at, byte) => bytes[at.index(length)] = *byte,
            Self::Lost(at, many) => drop(bytes.drain(part(at, *many))),
            Self::Doubled(at, many) => {
                let twice = bytes[part(at, *many)].to_vec();
                bytes.splice(at.index(length)..at.index(length), twice);
            }
            Self::CutOff(at) => bytes.truncate(at.index(length)),
        }
    }
}

impl Form {
    /// The end of a file's name.
    pub fn ending(&self) -> &'static str {
        match self {
            Self::Text { .. } => "csv",
            Self::JsonLines | Self::JsonArray => "json",
            Self::Workbook => "xlsx",
        }
    }

    pub fn write(&self, table: &Table) -> Vec<u8> {
        match self {
            Self::Text { separator, line_end, letters } => {
                let field = |text: &String| match text.contains(['"', '\n', '\r']) || text.contains(separator)
                {
                    true => format!("\"{}\"", text.replace('"', "\"\"")),
                    false => text.clone(),
                };
                let lines = [&table.names].into_iter().chain(&table.rows);
                let line =
                    |row: &Vec<String>| row.iter().map(field).collect::<Vec<_>>().join(separator) + line_end;
                letters.store(&lines.map(line).collect::<String>())
            }
            Self::JsonLines => table.objects().map(|object| object + "\n").collect::<String>().into_bytes(),
            Self::JsonArray => format!("[{}]", table.objects().collect::<Vec<_>>().join(",\n ")).into_bytes(),
            Self::Workbook => table.workbook(),
        }
    }
}

impl Letters {
    fn store(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf8WithMark => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            Self::Utf16Le => {
                b"\xff\xfe".iter().copied().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
            }
            Self::Utf16Be => {
                b"\xfe\xff".iter().copied().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect()
            }
        }
    }
}

impl Package {
    pub fn pack(self, name: &str, bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Plain => bytes,
            Self::Gzip => {
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packer.write_all(&bytes).expect("in memory");
                packer.finish().expect("in memory")
            }
            Self::Zip => {
                let mut packer = zip::ZipWriter::new(Cursor::new(Vec::new()));
                packer
                    .start_file(
                        name,
                        zip::write::SimpleFileOptions::default()
                            .compression_method(zip::CompressionMethod::Stored),
                    )
                    .expect("in memory");
                packer.write_all(&bytes).expect("in memory");
                packer.finish().expect("in memory").into_inner()
            }
        }
    }
}

impl Table {
    fn objects(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| {
            let pairs = self.names.iter().zip(row).map(|(name, text)| match number(text) {
                Some(number) => format!("{}: {number}", serde_json::Value::from(name.as_str())),
                None => format!(
                    "{}: {}",
                    serde_json::Value::from(name.as_str()),
                    serde_json::Value::from(text.as_str())
                ),
            });
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        })
    }

    fn workbook(&self) -> Vec<u8> {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        for (row, fields) in [&self.names].into_iter().chain(&self.rows).enumerate() {
            for (column, text) in fields.iter().enumerate() {
                let (row, column) = (row as u32, column as u16);
                match number(text) {
                    Some(number) => sheet.write_number(row, column, number),
                    None => sheet.write_string(row, column, text),
                }
                .expect("a cell");
            }
        }
        book.save_to_buffer().expect("in memory")
    }
}

/// A number that nothing is lost of where it is stored as one.
fn number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.abs() < 1e15 && number.to_string() == text).then_some(number)
}
