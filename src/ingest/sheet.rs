//! Rows from a sheet of a spreadsheet (XLSX).

use std::io::BufReader;
use std::path::Path;

use calamine::{Data, Reader, Xlsx, open_workbook};

use crate::error::{Error, Kind, Result, nearest};
use crate::panics;
use crate::text::plain;

/// No table of ratings or books has more columns.
const MOST_COLUMNS: u32 = 500;

/// The rows of a sheet, as texts, and the name of the sheet. A row ends with its last text, and those that have none are left
/// out.
///
/// # Errors
/// [`Kind::Io`] if the file is damaged; [`Kind::Config`] if it has no such sheet.
pub(super) fn rows(path: &Path, wanted: Option<&str>) -> Result<(String, Vec<Vec<String>>)> {
    let damaged = |what: String| {
        Error::new(Kind::Io, format!("cannot read {}: {what}", path.display()))
            .hint("the file is cut off or damaged: save it again, or as CSV")
    };
    // On some damaged files the library panics.
    let read = panics::caught(|| -> Result<(String, Vec<Vec<String>>)> {
        let mut book: Xlsx<BufReader<_>> =
            open_workbook(path).map_err(|error: calamine::XlsxError| damaged(error.to_string()))?;
        let sheets = book.sheet_names();
        let name = match wanted {
            Some(wanted) => sheets.iter().find(|name| name.as_str() == wanted).cloned().ok_or_else(|| {
                let near = nearest(wanted, sheets.iter().map(String::as_str));
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                Error::new(Kind::Config, format!("{} has no sheet {wanted}{near}", path.display()))
                    .hint(format!("it has {}", plain(&sheets.join(", "))))
            })?,
            None => sheets.first().cloned().ok_or_else(|| damaged("it has no sheet".into()))?,
        };
        // Cell by cell: one far out in an empty sheet would have all cells before it made.
        let mut cells = book.worksheet_cells_reader(&name).map_err(|error| damaged(error.to_string()))?;
        let (mut rows, mut at): (Vec<Vec<String>>, _) = (Vec::new(), None);
        while let Some(cell) = cells.next_cell().map_err(|error| damaged(error.to_string()))? {
            let (row, column) = cell.get_position();
            let text = text(&Data::from(cell.get_value().clone()));
            if text.is_empty() {
                continue;
            }
            if column >= MOST_COLUMNS {
                return Err(Error::new(
                    Kind::Config,
                    format!("the sheet {} is wider than {MOST_COLUMNS} columns", plain(&name)),
                )
                .hint("leave in it only the columns that count, or save it as CSV"));
            }
            if at != Some(row) {
                rows.push(Vec::new());
                at = Some(row);
            }
            if let Some(fields) = rows.last_mut() {
                fields.resize(fields.len().max(column as usize + 1), String::new());
                fields[column as usize] = text;
            }
        }
        Ok((name, rows))
    });
    read.unwrap_or_else(|_| Err(damaged("its parts contradict each other".into())))
}

/// A cell as a text field would have it.
fn text(cell: &Data) -> String {
    match cell {
        Data::Int(number) => number.to_string(),
        // As few digits as needed, and none after the point of a whole number.
        Data::Float(number) if number.is_finite() => number.to_string(),
        Data::String(text) | Data::DateTimeIso(text) => text.replace(['\n', '\r'], " ").trim().to_owned(),
        Data::Bool(is) => i32::from(*is).to_string(),
        Data::DateTime(time) => {
            time.as_datetime().map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
        }
        Data::Float(_) | Data::DurationIso(_) | Data::Error(_) | Data::Empty => String::new(),
    }
}
