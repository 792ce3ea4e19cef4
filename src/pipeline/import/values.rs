//! From a record of a file to the values of a row.

use rusqlite::types::Value;

use crate::catalog::dates;
use crate::catalog::rejects::{Example, Part};
use crate::config::DateOrder;
use crate::ingest::{Dialect, Field, FileKind, Record, is_missing, number};

/// The values of a record for the columns `wanted`, or the reason to reject it or to leave it out. ISBNs are not
/// checked here: the nightly job sees every row anyway, and repairs what can be repaired.
pub(super) fn row(
    record: &Record,
    dialect: &Dialect,
    kind: FileKind,
    wanted: &[Field],
    implicit_rating: f64,
) -> Result<Vec<Value>, &'static str> {
    let Dialect { columns, filter, floats, user, dates, .. } = dialect;
    let text =
        |place: usize| record.fields.get(place).map(|text| bare(text)).filter(|text| !is_missing(text));
    // All fields up to the last required one must exist, and those after the last column must be empty:
    // otherwise a separator inside a text has shifted the fields.
    let matters = [Field::User, Field::Isbn, Field::Rating, Field::Title];
    if columns.iter().rposition(|field| matters.contains(field)) >= Some(record.fields.len()) {
        return Err("too_few_fields");
    }
    if (columns.len()..record.fields.len()).any(|place| text(place).is_some()) {
        return Err("too_many_fields");
    }
    let of = |field: Field| {
        let place = columns.iter().position(|column| *column == field)?;
        let text = text(place)?;
        // Such as 276725.0.
        Some(if floats[place] { text.split('.').next().unwrap_or(text) } else { text })
    };
    if kind == FileKind::Ratings || dialect.kinds.len() == 1 {
        let stars = of(Field::Rating).and_then(number);
        let is_marked = stars.is_some_and(|stars| stars != 0.0 && stars != implicit_rating);
        if let Some(why) = filter.why_not(&record.fields, is_marked) {
            return Err(why);
        }
    }
    let value = |field: &Field| match (field, of(*field)) {
        (Field::User, None) => user.as_deref().map(integer_or_text).ok_or("missing_user"),
        (Field::Isbn, None) => Err("missing_isbn"),
        (Field::Rating, None) => Ok(shortest(implicit_rating)),
        (Field::Rating, Some(text)) => number(text).map(shortest).ok_or("rating_not_a_number"),
        (Field::RatedAt, Some(text)) => Ok(time(text, *dates)),
        (Field::User | Field::Year, Some(text)) => Ok(integer_or_text(text)),
        (_, Some(text)) => Ok(Value::Text(text.to_owned())),
        (_, None) => Ok(Value::Null),
    };
    wanted.iter().map(value).collect()
}

/// What stands in a spreadsheet's `="…"`, which keeps zeros.
fn bare(text: &str) -> &str {
    text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// A time as SQLite's own functions understand it. Numbers, what they already understand, and what nobody does, stay as
/// they are.
fn time(text: &str, order: DateOrder) -> Value {
    let value = integer_or_text(text);
    let is_understood =
        |text: &str| text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    if !matches!(value, Value::Text(_)) || is_understood(text) || text.parse::<f64>().is_ok() {
        return value;
    }
    let moment = dates::read(text).and_then(|written| written.seconds(order));
    let written = moment.and_then(|seconds| chrono::DateTime::from_timestamp(seconds as i64, 0));
    written.map_or(value, |written| {
        let has_clock = written.timestamp() % 86_400 != 0;
        let form = if has_clock { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d" };
        Value::Text(written.format(form).to_string())
    })
}

/// A rejected record, in parts as the table would take them. With a wrong number of fields, the parts are
/// unknown; then the record's number leads to it in the file.
pub(super) fn example(record: &Record, dialect: &Dialect) -> Example {
    let columns = dialect.columns.len();
    let number = Example { record: Some(record.number), ..Example::default() };
    if record.fields.len() != columns {
        return Example { note: Some(format!("{} fields of {columns}", record.fields.len())), ..number };
    }
    let part = |field: Field| {
        let place = dialect.columns.iter().position(|column| *column == field)?;
        Some(match integer_or_text(record.fields.get(place)?) {
            Value::Integer(value) => Part::Integer(value),
            _ => Part::text(&record.fields[place]),
        })
    };
    let [user, isbn, rating] = [Field::User, Field::Isbn, Field::Rating].map(part);
    Example { user, isbn, rating, ..number }
}

/// An integer only if it is spelled as usual: "007" stays text.
fn integer_or_text(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(integer) if integer.to_string() == text => Value::Integer(integer),
        _ => Value::Text(text.to_owned()),
    }
}

/// 5 rather than 5.0, for columns that are not declared REAL.
fn shortest(rating: f64) -> Value {
    if rating.fract() == 0.0 && rating.abs() < 1e15 {
        Value::Integer(rating as i64)
    } else {
        Value::Real(rating)
    }
}
