//! Guesses which table holds the ratings and what its columns hold, from names and from content.

use super::contents::Content;
use super::fields::{Field, fit, folded, is_isbn_name};
use super::links::links;
pub use super::schema::{Join, Place, SampledTable};
use super::states::{self, State};

/// The tables and columns that were found, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// The table with a row for each reading: a rating, a loan, a line of an order.
    pub ratings: String,
    /// Tables that its rows lead to, in order.
    pub joins: Vec<Join>,
    pub user: Place,
    /// The book's ISBN or other id.
    pub isbn: Place,
    pub rating: Option<Place>,
    pub rated_at: Option<Place>,
    /// A shelf or a status, and its values.
    pub state: Option<StateColumn>,
    /// Whether books go by ISBN.
    pub is_isbn: bool,
    /// What a rating of 0 means; `None` if there is none.
    pub zeros: Option<Zeros>,
    pub books: Option<BooksTable>,
}

/// A column that says what became of a book, and the values that are no reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateColumn {
    pub place: Place,
    pub values: Vec<String>,
    pub unread: Vec<String>,
}

impl Guess {
    /// Whether a query has to say it: one table and its columns are not enough.
    pub fn needs_query(&self) -> bool {
        !self.joins.is_empty() || self.state.as_ref().is_some_and(|state| !state.unread.is_empty())
    }
}

/// What a rating of 0 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// Read, but not rated: other ratings are above 1.
    Unrated,
    /// A bad rating: no rating is above 1.
    Dislike,
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

const TABLES: &[&str] = &[
    "ratings",
    "bookratings",
    "reviews",
    "bookreviews",
    "rating",
    "review",
    "loans",
    "orders",
    "purchases",
    "borrowings",
    "checkouts",
    "userratings",
    "readings",
    "votes",
    "sales",
    "bxbookratings",
    "orderitems",
    "orderlines",
    "lineitems",
    "issues",
    "oldissues",
    "history",
    "readprogress",
    "mediaprogress",
];

/// How well the name of a table says that it has ratings, from 0 to 1; the first of the list are the surest.
fn as_ratings(name: &str) -> f64 {
    let name = folded(name);
    let place = TABLES.iter().position(|known| *known == name);
    place.map_or(0.0, |place| 1.0 - 0.2 * place as f64 / TABLES.len() as f64)
}

/// Tables as they were sampled, and what their columns look like.
struct Survey<'a> {
    tables: &'a [SampledTable],
    contents: Vec<Vec<Content>>,
}

/// Finds the ratings and the table of books; `None` if no table leads to both readers and books.
///
/// Each table is taken for the one with the readings, and what its rows lead to is looked through for readers and books: an
/// order's line leads to the order, which has the customer, and to the product, which has the ISBN. Of those that have
/// both, the one wins that fits best and has most rows.
pub fn guess(tables: &[SampledTable]) -> Option<Guess> {
    let contents = tables
        .iter()
        .map(|table| (0..table.columns.len()).map(|column| Content::of(table.values(column))).collect())
        .collect();
    let survey = Survey { tables, contents };
    let found = (0..tables.len()).filter_map(|table| survey.readings(table));
    // Reversed, because max_by gives the last of equals and the first is wanted.
    let found: Vec<(f64, Guess)> = found.collect();
    let (_, mut guess) = found.into_iter().rev().max_by(|a, b| a.0.total_cmp(&b.0))?;
    survey.books_table(&mut guess);
    Some(guess)
}

/// Why no table is the one with the readings, for each.
pub fn why_none(tables: &[SampledTable]) -> Vec<String> {
    let why = |table: &SampledTable| {
        let has = |fits: fn(&Content, &str) -> f64| {
            (0..table.columns.len())
                .any(|column| fits(&Content::of(table.values(column)), &table.columns[column]) >= LEAST)
        };
        let why = match (table.rows, has(Content::as_user), has(Content::as_item)) {
            (0, ..) => "is empty",
            (_, false, false) => "leads to no readers and no books",
            (_, false, true) => "leads to no readers",
            (_, true, false) => "leads to no books",
            (_, true, true) => "has one column that may be the reader or the book, and no other",
        };
        format!("{} ({}) {why}", table.name, table.columns.join(", "))
    };
    tables.iter().map(why).collect()
}

/// How well a column must fit.
const LEAST: f64 = 0.4;

/// What a column fits less for each table that lies between.
const FAR: f64 = 0.12;

/// More values than these are no shelves.
const MOST_STATES: usize = 20;

impl Survey<'_> {
    /// A table as the one with the readings, and how well it fits.
    fn readings(&self, table: usize) -> Option<(f64, Guess)> {
        let name = &self.tables[table].name;
        let reached = self.reached_from(table);
        let (item, item_fit) = self.best(&reached, &[], |content, name| content.as_item(name))?;
        let (user, user_fit) = self.best(&reached, &[item], |content, name| content.as_user(name))?;
        let near: Vec<(usize, Vec<Join>)> =
            reached.iter().filter(|(_, joins)| joins.len() <= 1).cloned().collect();
        let rating = self.best(&near[..1], &[item, user], |content, name| content.as_rating(name));
        let rating = rating.map(|(place, _)| place);
        let mut taken = vec![item, user];
        taken.extend(rating);
        // The order has its date, not the line of it; the book has one, too, but that is another.
        let times: Vec<_> =
            near.iter().filter(|(other, _)| *other != item.0 || *other == table).cloned().collect();
        let time = self.best(
            &times,
            &taken,
            |content, name| if content.known > 0 { content.as_time(name) } else { 0.0 },
        );
        let is_of_item = |table: usize| {
            reached.iter().any(|(other, joins)| {
                *other == item.0 && joins.iter().any(|join| join.table == self.tables[table].name)
            })
        };
        let states: Vec<_> =
            near.iter().filter(|(other, _)| *other == table || !is_of_item(*other)).cloned().collect();
        let state = self.best(&states, &taken, |content, name| {
            let is_shelf = content.known > 0 && content.distinct <= MOST_STATES;
            if is_shelf && fit(name, Field::State) >= 0.8 { fit(name, Field::State) } else { 0.0 }
        });
        let state = state.map(|(place, _)| self.state(place));
        let mut joins: Vec<Join> = Vec::new();
        let places = [Some(item), Some(user), rating, time.map(|(place, _)| place)];
        let of_state = state.as_ref().filter(|state| !state.unread.is_empty());
        let of_state =
            of_state.and_then(|state| self.tables.iter().position(|table| table.name == state.place.table));
        let needed = places.into_iter().flatten().map(|(table, _)| table).chain(of_state);
        for wanted in needed {
            let way = reached.iter().find(|(other, _)| *other == wanted).map(|(_, joins)| joins.as_slice());
            for join in way.unwrap_or_default() {
                if !joins.contains(join) {
                    joins.push(join.clone());
                }
            }
        }
        let content = |(table, column): (usize, usize)| &self.contents[table][column];
        // Ten times as many orders as reviews say more than any name.
        let rows = 2.0 * ((self.tables[table].rows + 1) as f64).log10();
        let fit = item_fit + user_fit + rows + 0.5 * as_ratings(name);
        let zeros = rating
            .filter(|place| content(*place).zeros)
            .map(|place| if content(place).highest > 1.0 { Zeros::Unrated } else { Zeros::Dislike });
        let is_isbn = content(item).isbns > 0.5
            || content(item).known == 0 && is_isbn_name(&self.tables[item.0].columns[item.1]);
        Some((
            fit,
            Guess {
                ratings: name.clone(),
                joins,
                user: self.place(user),
                isbn: self.place(item),
                rating: rating.map(|place| self.place(place)),
                rated_at: time.map(|(place, _)| self.place(place)),
                state,
                is_isbn,
                zeros,
                books: None,
            },
        ))
    }

    /// The tables that the rows of one lead to, over up to three others, each with the joins on the way; first itself.
    fn reached_from(&self, table: usize) -> Vec<(usize, Vec<Join>)> {
        const HOPS: usize = 3;
        let mut reached: Vec<(usize, Vec<Join>)> = vec![(table, Vec::new())];
        let mut next = 0;
        while next < reached.len() {
            let (at, joins) = reached[next].clone();
            next += 1;
            if joins.len() == HOPS {
                continue;
            }
            for (other, join) in links(self.tables, &self.contents, at) {
                if !reached.iter().any(|(known, _)| *known == other) {
                    let joins = joins.iter().cloned().chain([join]).collect();
                    reached.push((other, joins));
                }
            }
        }
        reached
    }

    /// The column of these tables that fits best, and how well; never one that is `taken`.
    fn best(
        &self,
        reached: &[(usize, Vec<Join>)],
        taken: &[(usize, usize)],
        fit: impl Fn(&Content, &str) -> f64,
    ) -> Option<((usize, usize), f64)> {
        let is_sampled = self.tables.iter().any(|table| table.rows > 0);
        let mut best: Option<((usize, usize), f64)> = None;
        for (table, joins) in reached {
            for (column, content) in self.contents[*table].iter().enumerate() {
                // A column without values holds nothing, unless all are so: then only names tell.
                if taken.contains(&(*table, column))
                    || is_sampled && content.known == 0 && self.tables[*table].rows > 0
                {
                    continue;
                }
                let fit = fit(content, &self.tables[*table].columns[column]) - FAR * joins.len() as f64;
                if fit >= LEAST && best.is_none_or(|(_, before)| fit > before) {
                    best = Some(((*table, column), fit));
                }
            }
        }
        best
    }

    fn place(&self, (table, column): (usize, usize)) -> Place {
        let table = &self.tables[table];
        Place { table: table.name.clone(), column: table.columns[column].clone() }
    }

    fn state(&self, place: (usize, usize)) -> StateColumn {
        let table = &self.tables[place.0];
        let mut values: Vec<String> = table.values(place.1).map(str::to_owned).collect();
        values.sort_unstable();
        values.dedup();
        let column = &table.columns[place.1];
        let is_unread =
            |value: &&String| matches!(states::state(value, column), Some(State::Unread | State::GivenUp));
        let unread = values.iter().filter(is_unread).cloned().collect();
        StateColumn { place: self.place(place), values, unread }
    }

    /// Finds the table of books that goes with the ratings.
    fn books_table(&self, guess: &mut Guess) {
        let mut best_fit = 0.0;
        for (table, contents) in self.tables.iter().zip(&self.contents) {
            let is_own = table.name == guess.isbn.table;
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
            let same = table.columns.iter().position(|column| folded(column) == folded(&guess.isbn.column));
            let isbns = (0..contents.len()).filter(|column| contents[*column].isbns > LEAST);
            let isbn = isbns.max_by(|a, b| contents[*a].isbns.total_cmp(&contents[*b].isbns).then(b.cmp(a)));
            // By number: the ratings' own column leads to it.
            let ratings = self.tables.iter().position(|other| other.name == guess.isbn.table);
            let link = ratings.and_then(|ratings| {
                let mut links = links(self.tables, &self.contents, ratings).into_iter();
                links.find(|(_, join)| join.table == table.name && join.from.column == guess.isbn.column)
            });
            let number =
                link.and_then(|(_, join)| table.columns.iter().position(|column| *column == join.column));
            let column = match (guess.is_isbn, is_own) {
                (true, true) => same,
                (true, false) if guess.isbn.table != guess.ratings && self.is_joined(guess) => None,
                (true, false) => isbn,
                (false, _) => number.or(same),
            };
            let Some(isbn) = column else { continue };
            // The table of ratings may have titles, but of books there is a better one.
            let is_ratings = table.name == guess.ratings && guess.joins.is_empty();
            let fit = f64::from(u8::from(author.is_some()))
                + f64::from(u8::from(publisher.is_some()))
                + if is_ratings { 0.5 } else { 1.0 };
            if fit > best_fit {
                best_fit = fit;
                guess.books = Some(BooksTable {
                    table: table.name.clone(),
                    isbn: name(isbn),
                    title: Some(name(title)),
                    author: author.map(name),
                    publisher: publisher.map(name),
                });
            }
        }
    }

    /// Whether the table with the ISBNs has titles itself.
    fn is_joined(&self, guess: &Guess) -> bool {
        let table = self.tables.iter().find(|table| table.name == guess.isbn.table);
        table.is_some_and(|table| table.columns.iter().any(|name| fit(name, Field::Title) >= LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[&str], rows: &[&[&str]]) -> SampledTable {
        SampledTable {
            name: name.into(),
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
        let guess = guess(&[works, reviews]).expect("found");
        assert_eq!(
            (guess.ratings.as_str(), guess.user.column.as_str(), guess.isbn.column.as_str()),
            ("book_reviews", "reader", "isbn_13")
        );
        let column = |place: &Option<Place>| place.as_ref().map(|place| place.column.clone());
        assert_eq!(
            (column(&guess.rating), column(&guess.rated_at)),
            (Some("stars".into()), Some("created".into()))
        );
        assert!(guess.is_isbn && guess.zeros == Some(Zeros::Unrated) && !guess.needs_query());
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
        let guess = guess(&[movies, ratings]).expect("found");
        assert_eq!(
            (guess.user.column.as_str(), guess.isbn.column.as_str(), guess.is_isbn),
            ("userId", "movieId", false)
        );
        assert_eq!(guess.rated_at.map(|place| place.column), Some("timestamp".into()));
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
        let guess = guess(&[books, loans]).expect("found");
        assert_eq!(
            (guess.user.column.as_str(), guess.isbn.table.as_str(), guess.rating),
            ("member_id", "books", None)
        );
        let join = Join {
            table: "books".into(),
            column: "id".into(),
            from: Place { table: "loans".into(), column: "book_id".into() },
        };
        assert_eq!((guess.joins, guess.is_isbn), (vec![join], true));
        assert_eq!(guess.books.map(|books| books.isbn), Some("isbn".into()));
    }

    #[test]
    fn a_database_of_something_else_is_none_of_books() {
        let users = table("users", &["id", "name", "email"], &[&["1", "Ann", "a@example.org"]]);
        assert_eq!(guess(&[users]), None);
        assert_eq!(guess(&[]), None);
    }
}
