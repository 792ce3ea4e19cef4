//! Rows from JSON: an object a line, an array of objects, or objects in an object.

use std::cell::Cell;
use std::io::BufRead;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::origin::unreadable;
use crate::error::{Error, Kind, Result};

/// Bytes of the longest object.
const LONGEST: usize = 1 << 20;

/// Whether text begins as JSON does.
pub(super) fn is_json(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let next = |at: usize| text[at..].trim_ascii_start().first().copied();
    match text.first() {
        Some(b'{') => matches!(next(1), Some(b'"')),
        Some(b'[') => matches!(next(1), Some(b'{')),
        _ => false,
    }
}

pub(super) struct JsonRows {
    text: Box<dyn BufRead>,
    path: PathBuf,
    passed: Rc<Cell<u64>>,
    /// How many braces stand around a record.
    depth: usize,
    /// How many stand around what comes next.
    level: usize,
    names: Vec<String>,
}

impl JsonRows {
    /// Of a text that begins with `sample`.
    pub(super) fn new(text: Box<dyn BufRead>, path: PathBuf, passed: Rc<Cell<u64>>, sample: &[u8]) -> Self {
        let depth = depth(sample);
        let mut rows = Self {
            text: Box::new(std::io::Cursor::new(sample.to_vec())),
            path,
            passed,
            depth,
            level: 0,
            names: Vec::new(),
        };
        // The last object of the sample may be cut.
        while let Ok(Some(object)) = rows.object() {
            for name in object.keys() {
                if !rows.names.contains(name) {
                    rows.names.push(name.clone());
                }
            }
        }
        (rows.text, rows.level) = (text, 0);
        rows
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.names
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.passed.get()
    }

    /// The next row, a text for each column.
    ///
    /// # Errors
    /// [`Kind::Io`] if the text is no JSON.
    pub(super) fn next(&mut self) -> Result<Option<Vec<String>>> {
        let Some(object) = self.object()? else { return Ok(None) };
        Ok(Some(self.names.iter().map(|name| object.get(name).map(text).unwrap_or_default()).collect()))
    }

    fn object(&mut self) -> Result<Option<Map<String, Value>>> {
        let damaged = |path: &PathBuf, what: &str| {
            Error::new(Kind::Io, format!("cannot read {}: {what}", path.display()))
                .hint("the file is cut off or no JSON: fetch it, or write it, again")
        };
        let (mut in_text, mut is_escaped) = (false, false);
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let buffer = self.text.fill_buf().map_err(|error| unreadable(&error, &self.path))?;
            if buffer.is_empty() {
                return match bytes.is_empty() {
                    true => Ok(None),
                    false => Err(damaged(&self.path, "it ends within a record")),
                };
            }
            let mut used = 0;
            let mut is_whole = false;
            for byte in buffer {
                used += 1;
                let inside = !bytes.is_empty();
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' if in_text => is_escaped = true,
                    b'"' => in_text = !in_text,
                    b'{' if !in_text => self.level += 1,
                    b'}' if !in_text => self.level = self.level.saturating_sub(1),
                    _ => {}
                }
                // The brace around all records of an object of objects comes first, and is left.
                if inside || *byte == b'{' && !in_text && self.level == self.depth {
                    bytes.push(*byte);
                }
                if *byte == b'}' && !in_text && inside && self.level < self.depth {
                    is_whole = true;
                    break;
                }
            }
            self.text.consume(used);
            if is_whole {
                return match serde_json::from_slice(&bytes) {
                    Ok(object) => Ok(Some(object)),
                    Err(error) => Err(damaged(&self.path, &error.to_string())),
                };
            }
            if bytes.len() > LONGEST {
                return Err(damaged(&self.path, "a record is longer than a megabyte"));
            }
        }
    }
}

/// How many braces stand around a record: two if the whole is an object of objects, as LibraryThing writes.
fn depth(sample: &[u8]) -> usize {
    let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample).trim_ascii_start();
    if text.first() != Some(&b'{') {
        return 1;
    }
    match serde_json::Deserializer::from_slice(text).into_iter::<Map<String, Value>>().next() {
        Some(Ok(first)) => {
            let holds_objects = |value: &Value| {
                value.is_object()
                    || value.as_array().is_some_and(|array| array.first().is_some_and(Value::is_object))
            };
            if !first.is_empty() && first.values().all(holds_objects) { 2 } else { 1 }
        }
        // It goes on behind the sample.
        _ => 2,
    }
}

/// A value as a text field would have it.
fn text(value: &Value) -> String {
    let line = |text: &str| text.replace(['\n', '\r'], " ").trim().to_owned();
    match value {
        Value::Null => String::new(),
        Value::String(text) => line(text),
        Value::Array(values) => {
            values.iter().map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
        }
        // A person has a name.
        Value::Object(object) => match ["name", "fl", "value"].iter().find_map(|name| object.get(*name)) {
            Some(name) => text(name),
            None => object.values().map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", "),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(json: &str) -> (Vec<String>, Vec<Vec<String>>) {
        let text = Box::new(std::io::Cursor::new(json.as_bytes().to_vec()));
        let mut rows = JsonRows::new(text, "x.json".into(), Rc::default(), json.as_bytes());
        let mut all = Vec::new();
        while let Some(row) = rows.next().expect("a row") {
            all.push(row);
        }
        (rows.names, all)
    }

    #[test]
    fn lines_arrays_and_objects_of_objects_have_the_same_rows() {
        let expected =
            vec![vec!["1".to_owned(), "a \"{b}\"".to_owned()], vec![String::new(), "c".to_owned()]];
        let (one, two) = (r#"{"n": 1, "t": "a \"{b}\""}"#, r#"{"t": "c", "n": null}"#);
        for json in [
            format!("{one}\n{two}\n"),
            format!("\u{feff}[{one},\n {two}]"),
            format!("{{\"7\": {one}, \"8\": {two}}}"),
            format!("{{\"books\": [{one}, {two}]}}"),
        ] {
            assert!(is_json(json.as_bytes()), "{json}");
            assert_eq!(rows(&json), (vec!["n".to_owned(), "t".to_owned()], expected.clone()), "{json}");
        }
        for other in ["[0820237418],5", "{x}", "", "isbn,{\"a\":1}"] {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn lists_and_people_become_one_text() {
        let (_, all) = rows(
            r#"[{"isbn": {"0": "0306406152", "2": "9780306406157"}, "authors": [{"fl": "Ann Ash", "lf": "Ash, Ann"}]}]"#,
        );
        assert_eq!(all, [["Ann Ash", "0306406152, 9780306406157"]]);
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let text = Box::new(std::io::Cursor::new(b"{\"a\": 1}\n{\"a\"".to_vec()));
        let mut rows = JsonRows::new(text, "x.json".into(), Rc::default(), b"{\"a\": 1}\n{\"a\"");
        assert_eq!(rows.next().expect("whole"), Some(vec!["1".to_owned()]));
        assert_eq!(rows.next().expect_err("cut").kind(), Kind::Io);
    }
}
