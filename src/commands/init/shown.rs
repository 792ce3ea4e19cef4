//! Shows people what `init` found.

use crate::console::Console;
use crate::ingest::columns::{BooksTable, Guess, Place, SampledTable, StateColumn, Zeros};
use crate::text::{count, plain};

/// How many rows of a table are shown.
const ROWS: usize = 4;

/// Both tables, some rows of each, and what their columns are taken for.
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
    let places = [Some(&guess.user), Some(&guess.isbn), guess.rating.as_ref(), guess.rated_at.as_ref()];
    let own = places.into_iter().flatten().filter(|place| place.table == guess.ratings);
    let columns: Vec<&str> = own.map(|place| place.column.as_str()).collect();
    let mut text = format!(
        "{}\n{}\n",
        console.heading(&format!("Ratings: table {}, {} rows", plain(&guess.ratings), rows(&guess.ratings))),
        sample(&guess.ratings, &columns)
    );
    let name = |place: &Place| match place.table == guess.ratings {
        true => place.column.clone(),
        false => format!("{}.{}", place.table, place.column),
    };
    let stars = match (guess.rating.as_ref().map(name), guess.zeros) {
        (None, _) => "no column of ratings: every row means \"read\"".to_owned(),
        (Some(rating), Some(Zeros::Unrated)) => format!("{rating} 0 is taken for \"read, not rated\""),
        (Some(rating), Some(Zeros::Dislike)) => format!("{rating} 0 is taken for a bad mark"),
        (Some(rating), None) => format!("stars in {rating}"),
    };
    let kind = match guess.is_isbn {
        true => format!("{} holds ISBNs", name(&guess.isbn)),
        false => format!("{} holds no ISBNs: each text or number is an item of its own", name(&guess.isbn)),
    };
    let time =
        guess.rated_at.as_ref().map_or("no times".to_owned(), |time| format!("times in {}", name(time)));
    text.push_str(&format!(
        "  {}\n",
        plain(&format!("readers in {}; {kind}; {stars}; {time}", name(&guess.user)))
    ));
    for join in &guess.joins {
        let way = format!("{}.{} = {}.{}", join.from.table, join.from.column, join.table, join.column);
        text.push_str(&format!("  joined to {}: {}\n", plain(&join.table), plain(&way)));
    }
    if let Some(StateColumn { place, values, unread }) = &guess.state {
        let values = plain(&values.join(", "));
        let what = match unread.is_empty() {
            true => "all of them count as read".to_owned(),
            false => format!("not counted as read: {}", plain(&unread.join(", "))),
        };
        text.push_str(&format!("  {} has {values}; {what}\n", plain(&name(place))));
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
