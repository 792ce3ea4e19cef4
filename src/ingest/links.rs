//! Which tables of a database lead to which: by declared foreign keys, and by names such as `book_id` and `books.id`.

use std::collections::HashSet;

use super::contents::Content;
use super::events::event;
use super::fields::{Field, fit, folded};
use super::schema::{Join, Place, SampledTable};

/// The tables that each row of `at` leads to, one row of each, and over which columns.
pub(super) fn links(tables: &[SampledTable], contents: &[Vec<Content>], at: usize) -> Vec<(usize, Join)> {
    let own = &tables[at];
    let join = |other: usize, column: &str, from: &str| {
        let from = Place { table: own.name.clone(), column: from.to_owned() };
        (other, Join { table: tables[other].name.clone(), column: column.to_owned(), from })
    };
    // What other readings say of a row belongs to those, even where few of them make it look like one for each.
    let nouns = || {
        let others = tables.iter().enumerate().filter(move |(other, _)| *other != at);
        others.filter(|(_, table)| event(&table.name).is_none())
    };
    let mut found = Vec::new();
    for column in &own.columns {
        if let Some((other, key)) = target(tables, at, column) {
            found.push(join(other, &key, column));
        }
    }
    // By the same name, where each value stands once there: a copy and its edition.
    for (place, column) in own.columns.iter().enumerate().filter(|(_, column)| is_key_name(column)) {
        // What leads to a third table, or names readers, is no key of this one.
        if target(tables, at, column).is_some() || fit(column, Field::User) > 0.0 {
            continue;
        }
        for (other, table) in nouns() {
            let same = table.columns.iter().position(|theirs| folded(theirs) == folded(column));
            let is_single =
                |there: &usize| contents[other][*there].known > 0 && contents[other][*there].variety == 1.0;
            let Some(there) = same.filter(is_single) else { continue };
            let known: HashSet<&str> = table.values(there).collect();
            let is_met = own.values(place).any(|value| known.contains(value));
            if is_met && !found.iter().any(|(known, _)| *known == other) {
                found.push(join(other, &table.columns[there], column));
            }
        }
    }
    // By values that are no plain numbers, as UUIDs are: nobody else has the same.
    for (place, column) in own.columns.iter().enumerate().filter(|(_, column)| is_key_name(column)) {
        let values: Vec<&str> = own.values(place).filter(|value| value.len() > 12).take(50).collect();
        for (other, table) in
            tables.iter().enumerate().filter(|(other, _)| *other != at && !values.is_empty())
        {
            let Some(id) = table.columns.iter().position(|column| folded(column) == "id") else { continue };
            let known: HashSet<&str> = table.values(id).collect();
            let met = values.iter().filter(|value| known.contains(**value)).count();
            if 2 * met > values.len() && !found.iter().any(|(known, _)| *known == other) {
                found.push(join(other, &table.columns[id], column));
            }
        }
    }
    // The other way round, if each row here is named once there: a book and its metadata.
    for (other, table) in nouns() {
        for (place, column) in table.columns.iter().enumerate() {
            let is_single = contents[other][place].known > 0 && contents[other][place].variety == 1.0;
            let back = target(tables, other, column).filter(|(back, _)| is_single && *back == at);
            if let Some((_, key)) = back.filter(|_| !found.iter().any(|(known, _)| *known == other)) {
                found.push(join(other, column, &key));
            }
        }
    }
    found
}

/// Whether a name is that of a key, other than the plain `id` of its own table.
fn is_key_name(column: &str) -> bool {
    let name = folded(column);
    name.len() > 2
        && ["id", "number", "code", "barcode", "isbn", "uuid"].iter().any(|end| name.ends_with(end))
}

/// The table that a column names rows of, and its column.
fn target(tables: &[SampledTable], at: usize, column: &str) -> Option<(usize, String)> {
    let find = |name: &str| tables.iter().position(|table| table.name.eq_ignore_ascii_case(name));
    let key_of = |table: &SampledTable, name: &str| {
        let own = table.columns.iter().find(|own| own.eq_ignore_ascii_case(name));
        own.cloned()
    };
    let declared = tables[at].references.iter().find(|(from, ..)| from.eq_ignore_ascii_case(column));
    if let Some((_, other, key)) = declared {
        let other = find(other)?;
        let key = match key.as_str() {
            // The primary key, by whatever name.
            "" => key_of(&tables[other], "id").or_else(|| tables[other].columns.first().cloned())?,
            key => key_of(&tables[other], key)?,
        };
        return (other != at).then_some((other, key));
    }
    let name = folded(column);
    let stem =
        name.strip_suffix("id").or_else(|| name.strip_suffix("number")).filter(|stem| stem.len() > 1)?;
    let plural = |table: &str| {
        table == stem
            || table.strip_suffix('s') == Some(stem)
            || table.strip_suffix("es") == Some(stem)
            || table.strip_suffix("ies").is_some_and(|table| stem.strip_suffix('y') == Some(table))
    };
    // Such as library_books, with a prefix of the application's.
    let named = |table: &str| {
        let words: Vec<String> = table.split(['_', '-', ' ']).map(folded).collect();
        plural(&folded(table)) || words.len() > 1 && words.last().is_some_and(|last| plural(last))
    };
    let others = || tables.iter().enumerate().filter(|(other, table)| *other != at && named(&table.name));
    let exact = others().find(|(_, table)| plural(&folded(&table.name)));
    let (other, table) = exact.or_else(|| others().next())?;
    Some((other, key_of(table, "id").or_else(|| key_of(table, column))?))
}
