//! Guesses which tables hold the readings and which the books, and what their columns hold, from names and from content.

use std::collections::HashSet;

use super::contents::Content;
pub use super::events::Event;
use super::events::is_no_reading;
use super::fields::{Field, fit, folded};
use super::links::links;
use super::readings::{LEAST, Survey, Values};
pub use super::readings::{Readings, StateColumn, Zeros};
pub use super::schema::{Place, SampledTable};

/// The tables and columns that were found, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// The best first; the others are of the same readers and the same books.
    pub readings: Vec<Readings>,
    /// Tables that would have given readings of other readers or other books, or more of the same.
    pub others: Vec<String>,
    pub books: Option<BooksTable>,
}

impl Guess {
    /// Whether a query has to say it: one table and its columns are not enough.
    pub fn needs_query(&self) -> bool {
        self.readings.len() > 1 || self.readings.iter().any(Readings::needs_query)
    }

    /// What a rating of 0 means; `None` if there is none.
    pub fn zeros(&self) -> Option<Zeros> {
        self.readings.iter().find_map(|readings| readings.zeros)
    }
}

/// The table of books and its columns, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct BooksTable {
    pub table: String,
    /// The ISBN, or else the id by which ratings name a book.
    pub isbn: String,
    pub title: Option<String>,
    pub author: Option<String>,
    pub publisher: Option<String>,
}

/// Finds the tables with the readings and the table of books; `None` if no table leads to both readers and books.
///
/// Each table is taken for one with readings, and what its rows lead to is looked through for readers and books: an
/// order's line leads to the order, which has the customer, and to the product, which has the ISBN. Of those that have
/// both, the one wins that fits best and has most rows; others whose names say what happened (bought, borrowed, rated,
/// looked at) join it if they are about the same readers and the same books.
///
/// `values` gives the different values of a column that are in the whole table, if it can.
pub fn guess(tables: &[SampledTable], values: Values<'_>) -> Option<Guess> {
    let survey = Survey::of(tables, values);
    let mut found: Vec<(f64, Readings)> =
        (0..tables.len()).filter_map(|table| survey.readings(table)).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let found = found.into_iter().map(|(_, readings)| readings);
    let (wishes, found): (Vec<_>, Vec<_>) = found.partition(|readings| is_no_reading(&readings.table));
    let mut found = found.into_iter();
    let mut readings = vec![found.next()?];
    let mut others: Vec<String> =
        wishes.into_iter().map(|other| format!("{} ({WISHES})", other.table)).collect();
    for other in found {
        match survey.go_together(&readings, &other) {
            true => readings.push(other),
            false => others.push(other.table),
        }
    }
    let books = survey.books_table(&readings[0]);
    Some(Guess { readings, others, books })
}

const WISHES: &str = "is by its name of wishes, carts or copies";

/// Why no table is the one with the readings, for each.
pub fn why_none(tables: &[SampledTable]) -> Vec<String> {
    let why = |table: &SampledTable| {
        let has = |fits: fn(&Content, &str) -> f64| {
            (0..table.columns.len())
                .any(|column| fits(&Content::of(table.values(column)), &table.columns[column]) >= LEAST)
        };
        let why = match (table.rows, has(Content::as_user), has(Content::as_item)) {
            (0, ..) => "is empty",
            _ if is_no_reading(&table.name) => WISHES,
            (_, false, false) => "leads to no readers and no books",
            (_, false, true) => "leads to no readers",
            (_, true, false) => "leads to no books",
            (_, true, true) => "has one column that may be the reader or the book, and no other",
        };
        format!("{} ({}) {why}", table.name, table.columns.join(", "))
    };
    tables.iter().map(why).collect()
}

/// How many times higher the marks of one table may be than those of another that is taken with it.
const SAME_SCALE: f64 = 1.25;

impl Survey<'_> {
    /// Whether a table has more about the same readers and the same books: what they bought beside what they rated.
    fn go_together(&self, chosen: &[Readings], other: &Readings) -> bool {
        let first = &chosen[0];
        let is_same_scale = |one: &Readings| {
            let (low, high) = (one.highest.min(other.highest), one.highest.max(other.highest));
            one.rating.is_none() || other.rating.is_none() || high <= low * SAME_SCALE
        };
        first.event.is_some()
            && other.event.is_some()
            && first.is_isbn == other.is_isbn
            && (first.is_isbn || self.is_same(&first.isbn, &other.isbn))
            && self.is_same(&first.user, &other.user)
            && chosen.iter().all(is_same_scale)
    }

    /// Whether two columns name the same things: by what they lead to, or by name and values.
    fn is_same(&self, one: &Place, other: &Place) -> bool {
        let target = |place: &Place| {
            let at = self.tables.iter().position(|table| table.name == place.table)?;
            let links = links(self.tables, &self.contents, at).into_iter();
            let mut own = links.filter(|(_, join)| join.from == *place);
            own.next().map(|(_, join)| Place { table: join.table, column: join.column })
        };
        let (led, other_led) = (target(one), target(other));
        let [ends, other_ends] = [led.as_ref().unwrap_or(one), other_led.as_ref().unwrap_or(other)];
        ends == other_ends
            || folded(&one.column) == folded(&other.column)
                && led.is_none()
                && other_led.is_none()
                && self.share_values(one, other)
    }

    fn share_values(&self, one: &Place, other: &Place) -> bool {
        let values = |place: &Place| -> HashSet<&str> {
            let table = self.tables.iter().find(|table| table.name == place.table);
            let column = table.and_then(|table| table.columns.iter().position(|name| *name == place.column));
            table.zip(column).into_iter().flat_map(|(table, column)| table.values(column)).collect()
        };
        let (one, other) = (values(one), values(other));
        let fewer = one.len().min(other.len());
        fewer > 0 && 2 * one.intersection(&other).count() >= fewer
    }

    /// Finds the table of books that goes with the ratings.
    fn books_table(&self, readings: &Readings) -> Option<BooksTable> {
        let (mut best, mut best_fit) = (None, 0.0);
        for (table, contents) in self.tables.iter().zip(&self.contents) {
            let is_own = table.name == readings.isbn.table;
            let find = |field: Field, taken: &[usize]| {
                let free = (0..contents.len()).filter(|column| !taken.contains(column));
                let fits = free.map(|column| (column, fit(&table.columns[column], field)));
                fits.filter(|(_, fit)| *fit >= LEAST)
                    .rev()
                    .max_by(|a, b| a.1.total_cmp(&b.1))
                    .map(|(column, _)| column)
            };
            let Some(title) = find(Field::Title, &[]) else { continue };
            let (author, publisher) = (find(Field::Author, &[title]), find(Field::Publisher, &[title]));
            let name = |column: usize| table.columns[column].clone();
            let same =
                table.columns.iter().position(|column| folded(column) == folded(&readings.isbn.column));
            let isbns = (0..contents.len()).filter(|column| contents[*column].isbns > LEAST);
            let isbn = isbns.max_by(|a, b| contents[*a].isbns.total_cmp(&contents[*b].isbns).then(b.cmp(a)));
            // By number: the ratings' own column leads to it.
            let ratings = self.tables.iter().position(|other| other.name == readings.isbn.table);
            let link = ratings.and_then(|ratings| {
                let mut links = links(self.tables, &self.contents, ratings).into_iter();
                links.find(|(_, join)| join.table == table.name && join.from.column == readings.isbn.column)
            });
            let number =
                link.and_then(|(_, join)| table.columns.iter().position(|column| *column == join.column));
            let column = match (readings.is_isbn, is_own) {
                (true, true) => same,
                (true, false) if readings.isbn.table != readings.table && self.is_joined(readings) => None,
                (true, false) => isbn,
                (false, _) => number.or(same),
            };
            let Some(isbn) = column else { continue };
            // The table of ratings may have titles, but of books there is a better one.
            let is_ratings = table.name == readings.table && readings.joins.is_empty();
            let fit = f64::from(u8::from(author.is_some()))
                + f64::from(u8::from(publisher.is_some()))
                + if is_ratings { 0.5 } else { 1.0 };
            if fit > best_fit {
                best_fit = fit;
                best = Some(BooksTable {
                    table: table.name.clone(),
                    isbn: name(isbn),
                    title: Some(name(title)),
                    author: author.map(name),
                    publisher: publisher.map(name),
                });
            }
        }
        best
    }

    /// Whether the table with the ISBNs has titles itself.
    fn is_joined(&self, readings: &Readings) -> bool {
        let table = self.tables.iter().find(|table| table.name == readings.isbn.table);
        table.is_some_and(|table| table.columns.iter().any(|name| fit(name, Field::Title) >= LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::Join;
    use super::*;

    fn table(name: &str, columns: &[&str], rows: &[&[&str]]) -> SampledTable {
        SampledTable {
            name: name.into(),
            is_view: false,
            rows: rows.len() as u64,
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            sample: rows
                .iter()
                .map(|row| row.iter().map(|text| Some((*text).to_owned())).collect())
                .collect(),
            references: Vec::new(),
        }
    }

    #[test]
    fn names_of_another_shop_are_understood() {
        let reviews = table(
            "book_reviews",
            &["id", "reader", "isbn_13", "stars", "body", "created"],
            &[
                &["1", "ann", "9780306406157", "5", "good", "2024-05-01 10:00:00"],
                &["2", "bob", "978-0-8044-2957-3", "0", "", "2024-05-02 11:00:00"],
            ],
        );
        let works = table("titles", &["ean", "name", "writer"], &[&["9780306406157", "A book", "Ann Other"]]);
        let guess = guess(&[works, reviews], &|_| None).expect("found");
        let found = &guess.readings[0];
        assert_eq!(
            (found.table.as_str(), found.user.column.as_str(), found.isbn.column.as_str()),
            ("book_reviews", "reader", "isbn_13")
        );
        let column = |place: &Option<Place>| place.as_ref().map(|place| place.column.clone());
        assert_eq!(
            (column(&found.rating), column(&found.rated_at)),
            (Some("stars".into()), Some("created".into()))
        );
        assert!(found.is_isbn && found.zeros == Some(Zeros::Unrated) && !guess.needs_query());
        let books = guess.books.expect("books");
        assert_eq!(
            (books.table.as_str(), books.isbn.as_str(), books.title.as_deref()),
            ("titles", "ean", Some("name"))
        );
        assert_eq!(books.author.as_deref(), Some("writer"));
    }

    #[test]
    fn films_are_items_by_any_name() {
        let ratings = table(
            "ratings",
            &["userId", "movieId", "rating", "timestamp"],
            &[&["1", "31", "2.5", "1260759144"], &["2", "10", "4", "835355493"]],
        );
        let movies =
            table("movies", &["movieId", "title", "genres"], &[&["1", "Toy Story (1995)", "Animation"]]);
        let guess = guess(&[movies, ratings], &|_| None).expect("found");
        let found = &guess.readings[0];
        assert_eq!(
            (found.user.column.as_str(), found.isbn.column.as_str(), found.is_isbn),
            ("userId", "movieId", false)
        );
        assert_eq!(found.rated_at.as_ref().map(|place| place.column.as_str()), Some("timestamp"));
        assert_eq!(
            guess.books.map(|books| (books.table, books.isbn)),
            Some(("movies".into(), "movieId".into()))
        );
    }

    #[test]
    fn numbers_of_books_lead_to_their_isbns() {
        let loans = table(
            "loans",
            &["id", "member_id", "book_id", "due"],
            &[&["1", "7", "3", "x"], &["2", "7", "4", "y"]],
        );
        let books = table(
            "books",
            &["id", "isbn", "title"],
            &[&["3", "9780306406157", "One"], &["4", "0-8044-2957-X", "Two"]],
        );
        let guess = guess(&[books, loans], &|_| None).expect("found");
        let found = &guess.readings[0];
        assert_eq!(
            (found.user.column.as_str(), found.isbn.table.as_str(), &found.rating),
            ("member_id", "books", &None)
        );
        let join = Join {
            table: "books".into(),
            column: "id".into(),
            from: Place { table: "loans".into(), column: "book_id".into() },
        };
        assert_eq!((&found.joins, found.is_isbn), (&vec![join], true));
        assert_eq!(guess.books.map(|books| books.isbn), Some("isbn".into()));
    }

    #[test]
    fn a_database_of_something_else_is_none_of_books() {
        let users = table("users", &["id", "name", "email"], &[&["1", "Ann", "a@example.org"]]);
        assert_eq!(guess(&[users], &|_| None), None);
        assert_eq!(guess(&[], &|_| None), None);
    }
}
