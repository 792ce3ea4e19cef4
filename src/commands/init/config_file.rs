//! Writes what `init` found as a configuration file.

use crate::database::quote;
use crate::ingest::columns::{BooksTable, Guess, Place, StateColumn, Zeros};

/// The query that gives reader, book, rating and time: over all the tables on the way, and without what is no reading.
pub(super) fn query(guess: &Guess) -> String {
    let mut tables = vec![guess.ratings.as_str()];
    tables.extend(guess.joins.iter().map(|join| join.table.as_str()));
    // a, b, c, in the order of the joins.
    let alias = |table: &str| {
        let place = tables.iter().position(|other| *other == table).unwrap_or_default();
        char::from(b'a' + place as u8)
    };
    let column = |place: &Place| format!("{}.{}", alias(&place.table), quote(&place.column));
    let rating = guess.rating.as_ref().map_or("0".to_owned(), &column);
    let mut columns = vec![column(&guess.user), column(&guess.isbn), rating];
    columns.extend(guess.rated_at.as_ref().map(&column));
    let mut sql = format!("SELECT {} FROM {} AS a", columns.join(", "), quote(&guess.ratings));
    for join in &guess.joins {
        let (table, name) = (quote(&join.table), alias(&join.table));
        sql += &format!(" JOIN {table} AS {name} ON {name}.{} = {}", quote(&join.column), column(&join.from));
    }
    if let Some(StateColumn { place, unread, .. }) =
        guess.state.as_ref().filter(|state| !state.unread.is_empty())
    {
        let unread: Vec<String> =
            unread.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
        sql +=
            &format!(" WHERE CAST(coalesce({}, '') AS TEXT) NOT IN ({})", column(place), unread.join(", "));
    }
    sql
}

pub(super) fn config_file(guess: &Guess, top: usize) -> String {
    let mut text = String::from(
        "# Written by `nightshelf init`, from what the database looks like. A setting that is not here has its\n\
         # default; jobs/nightly.toml in nightshelf's sources explains them all.\n\n[source]\n",
    );
    let mut line = |comment: &str, key: &str, value: &str| {
        if !comment.is_empty() {
            text.push_str(&format!("# {comment}\n"));
        }
        text.push_str(&format!("{key} = {}\n", toml::Value::from(value)));
    };
    match guess.needs_query() {
        true => line("Who read which book, the stars if there are any, and when.", "query", &query(guess)),
        false => {
            let column =
                |place: &Option<Place>| place.as_ref().map_or(String::new(), |place| place.column.clone());
            line("The table with the ratings, and its columns.", "table", &guess.ratings);
            line("", "user", &guess.user.column);
            line("", "isbn", &guess.isbn.column);
            line(
                "A number; \"\" means that there is none, and every row says \"read\".",
                "rating",
                &column(&guess.rating),
            );
            line(
                "Of several ratings of one book by one reader the newest counts; \"\" if there is no time.",
                "rated_at",
                &column(&guess.rated_at),
            );
        }
    }
    if let Some(BooksTable { table, isbn, title, author, publisher }) = &guess.books {
        line(
            "The table with the books: titles for people, authors and publishers for better lists.",
            "books",
            table,
        );
        line("", "book_isbn", isbn);
        for (key, column) in [("title", title), ("author", author), ("publisher", publisher)] {
            if let Some(column) = column {
                line("", key, column);
            }
        }
    }
    match guess.zeros {
        Some(Zeros::Unrated) => {
            text.push_str("# The rating that means \"read, but not rated\".\nimplicit_rating = 0.0\n");
        }
        Some(Zeros::Dislike) => text.push_str(
            "# The rating that means \"read, but not rated\": one that does not occur, since 0 is a bad mark here.\n\
             implicit_rating = -1.0\n",
        ),
        None => {}
    }
    text.push_str("\n[items]\n# \"isbn\": all spellings of an ISBN are one book. \"text\": anything else.\n");
    text.push_str(&format!("key = \"{}\"\n", if guess.is_isbn { "isbn" } else { "text" }));
    text.push_str("\n[output]\n# Books for each reader. Ask for more than you show: some may be sold out.\n");
    text.push_str(&format!("top = {top}\n"));
    text
}
