//! Writes what `init` found as a configuration file.

use crate::database::quote;
use crate::ingest::columns::{BooksTable, Guess, Zeros};

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
    match (&guess.through, &guess.books) {
        (Some(number), Some(books)) => {
            let [ratings, table, user, book, isbn, number] =
                [&guess.ratings, &books.table, &guess.user, &guess.isbn, &books.isbn, number]
                    .map(|name| quote(name));
            let mut columns = format!("r.{user}, b.{isbn}");
            match (&guess.rating, &guess.rated_at) {
                (Some(rating), _) => columns.push_str(&format!(", r.{}", quote(rating))),
                (None, Some(_)) => columns.push_str(", 0"),
                (None, None) => {}
            }
            if let Some(time) = &guess.rated_at {
                columns.push_str(&format!(", r.{}", quote(time)));
            }
            line(
                "Ratings name books by number; this query gives reader, ISBN, rating and time.",
                "query",
                &format!("SELECT {columns} FROM {ratings} AS r JOIN {table} AS b ON b.{number} = r.{book}"),
            );
        }
        _ => {
            line("The table with the ratings, and its columns.", "table", &guess.ratings);
            line("", "user", &guess.user);
            line("", "isbn", &guess.isbn);
            line(
                "A number; \"\" means that there is none, and every row says \"read\".",
                "rating",
                guess.rating.as_deref().unwrap_or_default(),
            );
            line(
                "Of several ratings of one book by one reader the newest counts; \"\" if there is no time.",
                "rated_at",
                guess.rated_at.as_deref().unwrap_or_default(),
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
