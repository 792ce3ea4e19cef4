//! Where records come from: a file, or one of the tables packed in a zip file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, Kind, Result};

/// Bytes that a packed table may have, and how many times its packed size. Real tables pack to a tenth.
const MOST: u64 = 64 << 30;
const MOST_TIMES: u64 = 300;

/// Bytes of an unpacked workbook, which is read into memory.
const MOST_OF_SHEETS: u64 = 1 << 30;

/// Endings of tables among the files of a zip.
const TABLES: [&str; 8] = ["csv", "tsv", "tab", "txt", "dat", "data", "json", "jsonl"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub path: PathBuf,
    /// The name of a file in a zip.
    pub entry: Option<String>,
}

/// A file in a zip, and where its bytes are.
struct Entry {
    name: String,
    start: u64,
    packed: u64,
    size: u64,
    is_deflated: bool,
}

impl Origin {
    pub fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), entry: None }
    }

    /// The tables in a file: the file itself, unless it is a zip.
    ///
    /// # Errors
    /// [`Kind::NoInput`] if it is not there; [`Kind::Config`] if it is a zip without tables, or one that unpacks to more
    /// than any table has; [`Kind::Io`] if it is damaged.
    pub fn all(path: &Path) -> Result<Vec<Self>> {
        // Checked first, because opening a pipe would wait for a writer.
        let about = std::fs::metadata(path).map_err(|error| unreadable(&error, path))?;
        if !about.is_file() {
            return Err(Error::new(Kind::NoInput, format!("{} is not a file", path.display()))
                .hint("an import can be resumed, so it needs a file that can be read again"));
        }
        if !is_zip(path)? {
            return Ok(vec![Self::file(path)]);
        }
        let entries = entries(path)?;
        if is_spreadsheet(&entries) {
            if entries.iter().map(|entry| entry.size).sum::<u64>() > MOST_OF_SHEETS {
                return Err(Error::new(
                    Kind::Config,
                    format!("{} is too large for a spreadsheet", path.display()),
                )
                .hint("save the sheet as CSV, which is read line by line"));
            }
            return Ok(vec![Self::file(path)]);
        }
        let is_table = |entry: &&Entry| {
            let name = entry.name.rsplit('/').next().unwrap_or(&entry.name);
            let ending = name.rsplit('.').next().unwrap_or_default().to_lowercase();
            TABLES.contains(&ending.as_str()) && !name.starts_with('.') && !entry.name.starts_with("__MACOSX")
        };
        let tables: Vec<Self> = entries
            .iter()
            .filter(is_table)
            .map(|entry| Self { path: path.to_owned(), entry: Some(entry.name.clone()) })
            .collect();
        if tables.is_empty() {
            let names: Vec<&str> = entries.iter().take(10).map(|entry| entry.name.as_str()).collect();
            let what = format!("{} has no table in it, but {}", path.display(), names.join(", "));
            return Err(Error::new(Kind::Config, what).hint(format!(
                "tables end with {}; unpack it, and import what it holds",
                TABLES.join(", ")
            )));
        }
        Ok(tables)
    }

    /// For messages, and to be known by: the path, and the name within.
    pub fn name(&self) -> String {
        let file = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy();
        match &self.entry {
            Some(entry) => format!("{file}/{entry}"),
            None => file.into_owned(),
        }
    }

    /// Its bytes, unpacked if it stands in a zip. `count` wraps the file.
    pub(super) fn open<R: Read + 'static>(&self, count: impl FnOnce(File) -> R) -> Result<Box<dyn BufRead>> {
        let path = &self.path;
        let mut file = File::open(path).map_err(|error| unreadable(&error, path))?;
        let Some(name) = &self.entry else {
            return Ok(Box::new(BufReader::with_capacity(1 << 16, count(file))));
        };
        let entry = entries(path)?
            .into_iter()
            .find(|entry| entry.name == *name)
            .ok_or_else(|| Error::new(Kind::NoInput, format!("{} has no {name} any more", path.display())))?;
        file.seek(SeekFrom::Start(entry.start)).map_err(|error| unreadable(&error, path))?;
        let packed = BufReader::with_capacity(1 << 16, count(file).take(entry.packed));
        let whole = |unpacked| Whole { unpacked, left: entry.size };
        Ok(match entry.is_deflated {
            true => Box::new(BufReader::with_capacity(1 << 16, whole(DeflateDecoder::new(packed)))),
            false => Box::new(BufReader::with_capacity(1 << 16, packed)),
        })
    }
}

/// Unpacked bytes that must be as many as the zip's directory says.
struct Whole<R> {
    unpacked: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.unpacked.read(to)?;
        match self.left.checked_sub(read as u64) {
            Some(left) if read > 0 || to.is_empty() || left == 0 => {
                self.left = left;
                Ok(read)
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not as long as its directory says")),
        }
    }
}

pub(super) fn is_zip(path: &Path) -> Result<bool> {
    let mut first = [0; 4];
    let mut file = File::open(path).map_err(|error| unreadable(&error, path))?;
    match file.read_exact(&mut first) {
        Ok(()) => Ok(&first == b"PK\x03\x04" || &first == b"PK\x05\x06"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(unreadable(&error, path)),
    }
}

/// Whether a zip is a workbook.
pub(super) fn is_workbook(path: &Path) -> Result<bool> {
    Ok(is_zip(path)? && is_spreadsheet(&entries(path)?))
}

fn is_spreadsheet(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.name == "xl/workbook.xml")
}

/// The files in a zip.
fn entries(path: &Path) -> Result<Vec<Entry>> {
    let damaged = |what: String| {
        Error::new(Kind::Io, format!("cannot read {}: {what}", path.display()))
            .hint("the file is cut off or damaged: fetch it, or pack it, again")
    };
    let file = File::open(path).map_err(|error| unreadable(&error, path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
    let mut found = Vec::new();
    for number in 0..archive.len() {
        let entry = archive.by_index_raw(number).map_err(|error| damaged(error.to_string()))?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().map_err(|error| damaged(error.to_string()))?.into_owned();
        let (packed, size) = (entry.compressed_size(), entry.size());
        if size > MOST || size > (1 << 30) && size / packed.max(1) > MOST_TIMES {
            let message = format!(
                "{} says that {name} unpacks to {} GB: no table packs so well",
                path.display(),
                crate::text::count(size / 1_000_000_000)
            );
            return Err(Error::new(Kind::Config, message).hint("unpack it yourself if you trust it"));
        }
        let is_deflated = match entry.compression() {
            CompressionMethod::Stored if !entry.encrypted() => false,
            CompressionMethod::DEFLATE if !entry.encrypted() => true,
            _ => {
                let how = if entry.encrypted() { "locked with a password" } else { "packed in a rare way" };
                return Err(Error::new(Kind::Config, format!("{}: {name} is {how}", path.display()))
                    .hint("unpack it, and import what it holds"));
            }
        };
        let start = entry.data_start().ok_or_else(|| damaged(format!("{name} is nowhere in it")))?;
        found.push(Entry { name, start, packed, size, is_deflated });
    }
    Ok(found)
}

pub(super) fn unreadable(error: &io::Error, path: &Path) -> Error {
    let said = Error::file(error, "read", path);
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            said.hint("the file is cut off or damaged: fetch it, or pack it, again")
        }
        _ => said,
    }
}
