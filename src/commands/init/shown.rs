//! Shows people what `init` found.

use crate::console::Console;
use crate::ingest::columns::{BooksTable, Guess, Place, Readings, SampledTable, StateColumn, Zeros};
use crate::text::{count, plain};

/// How many rows of a table are shown.
const ROWS: usize = 4;

/// The tables, some rows of each, and what their columns are taken for.
pub(super) fn shown(guess: &Guess, tables: &[SampledTable], console: &Console) -> String {
    let table = |name: &str| tables.iter().find(|table| table.name == name);
    let sample = |name: &str, columns: &[&str]| {
        let Some(table) = table(name) else { return String::new() };
        let places: Vec<usize> =
            columns.iter().filter_map(|name| table.columns.iter().position(|other| other == name)).collect();
        let row =
            |row: &Vec<Option<String>>| places.iter().map(|place| show(row[*place].as_deref())).collect();
        let header: Vec<String> = columns.iter().map(|column| plain(column)).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        console.table(&header, table.sample.iter().take(ROWS).map(row).collect(), &[])
    };
    let rows = |name: &str| count(table(name).map_or(0, |table| table.rows));
    let mut text = String::new();
    for readings in &guess.readings {
        let Readings { user, isbn, rating, rated_at, .. } = readings;
        let places = [Some(user), Some(isbn), rating.as_ref(), rated_at.as_ref()];
        let own = places.into_iter().flatten().filter(|place| place.table == readings.table);
        let columns: Vec<&str> = own.map(|place| place.column.as_str()).collect();
        let head = format!("Ratings: table {}, {} rows", plain(&readings.table), rows(&readings.table));
        text += &format!("{}\n{}\n", console.heading(&head), sample(&readings.table, &columns));
        if let Some(event) = readings.event.filter(|_| guess.readings.len() > 1) {
            text += &format!("  each row says {}, and counts {:.1}\n", event.text(), event.weight());
        }
        text += &meaning(readings);
    }
    if !guess.others.is_empty() {
        let others = guess.others.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", ");
        text += &format!("  not taken, though they lead to readers and books, too: {others}\n");
    }
    text.push('\n');
    match &guess.books {
        Some(BooksTable { table, isbn, title, author, publisher }) => {
            let mut columns = vec![isbn.as_str()];
            columns.extend([title, author, publisher].into_iter().filter_map(|column| column.as_deref()));
            let head = format!("Books: table {}, {} rows", plain(table), rows(table));
            text.push_str(&format!("{}\n{}\n", console.heading(&head), sample(table, &columns)));
        }
        None => text.push_str("No table of books was found: lists are made all the same, without titles.\n"),
    }
    text
}

pub(super) fn show(text: Option<&str>) -> String {
    const LONGEST: usize = 40;
    let text = text.map_or("NULL".to_owned(), plain);
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// What the columns of a table are taken for.
fn meaning(readings: &Readings) -> String {
    let name = |place: &Place| match place.table == readings.table {
        true => place.column.clone(),
        false => format!("{}.{}", place.table, place.column),
    };
    let stars = match (readings.rating.as_ref().map(name), readings.zeros) {
        (None, _) => "no column of ratings: every row means \"read\"".to_owned(),
        (Some(rating), Some(Zeros::Unrated)) => format!("{rating} 0 is taken for \"read, not rated\""),
        (Some(rating), Some(Zeros::Dislike)) => format!("{rating} 0 is taken for a bad mark"),
        (Some(rating), None) => format!("stars in {rating}"),
    };
    let kind = match readings.is_isbn {
        true => format!("{} holds ISBNs", name(&readings.isbn)),
        false => {
            format!("{} holds no ISBNs: each text or number is an item of its own", name(&readings.isbn))
        }
    };
    let time =
        readings.rated_at.as_ref().map_or("no times".to_owned(), |time| format!("times in {}", name(time)));
    let mut text =
        format!("  {}\n", plain(&format!("readers in {}; {kind}; {stars}; {time}", name(&readings.user))));
    for join in &readings.joins {
        let way = format!("{}.{} = {}.{}", join.from.table, join.from.column, join.table, join.column);
        text += &format!("  joined to {}: {}\n", plain(&join.table), plain(&way));
    }
    if let Some(StateColumn { place, values, unread }) = &readings.state {
        let values = plain(&values.join(", "));
        let what = match unread.is_empty() {
            true => "all of them count as read".to_owned(),
            false => format!("not counted as read: {}", plain(&unread.join(", "))),
        };
        text += &format!("  {} has {values}; {what}\n", plain(&name(place)));
    }
    text
}
