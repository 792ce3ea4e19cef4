//! Guesses which table holds the ratings and what its columns hold, from names and from content.

use std::collections::HashSet;

use crate::catalog::isbn::{self, Key};

/// A table or view, and its first rows.
#[derive(Clone, Debug, Default)]
pub struct SampledTable {
    /// As the schema spells it.
    pub name: String,
    /// Of the whole table, not of the sample.
    pub rows: u64,
    /// As the schema spells them.
    pub columns: Vec<String>,
    /// Some of its rows, a text for each column; `None` for NULL and blobs.
    pub sample: Vec<Vec<Option<String>>>,
    /// Foreign keys: own column, other table, and its column (empty if not declared).
    pub references: Vec<(String, String, String)>,
}

impl SampledTable {
    /// The sampled values of one column, without those that are missing.
    pub fn values(&self, column: usize) -> impl Iterator<Item = &str> {
        self.sample.iter().filter_map(move |row| row.get(column)?.as_deref())
    }
}

/// The tables and columns that were found, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// The table with the ratings; the next four columns are its own.
    pub ratings: String,
    pub user: String,
    /// The book's ISBN or other id.
    pub isbn: String,
    pub rating: Option<String>,
    pub rated_at: Option<String>,
    /// Whether books go by ISBN.
    pub is_isbn: bool,
    /// What a rating of 0 means; `None` if there is none.
    pub zeros: Option<Zeros>,
    pub books: Option<BooksTable>,
    /// The column of the table of books with the number by which ratings name a book; `None` unless that
    /// table has the ISBN in another column.
    pub through: Option<String>,
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

const USERS: &[&str] = &[
    "userid",
    "user",
    "readerid",
    "reader",
    "customerid",
    "customer",
    "memberid",
    "member",
    "patronid",
    "patron",
    "borrowerid",
    "borrower",
    "accountid",
    "account",
    "personid",
    "person",
    "clientid",
    "client",
    "buyerid",
    "buyer",
    "username",
    "login",
    "uid",
    "reviewerid",
    "reviewer",
    "cardno",
    "cardnumber",
];
const ISBNS: &[&str] = &["isbn", "isbn13", "isbn10", "bookisbn", "ean", "ean13", "gtin", "barcode"];
const ITEMS: &[&str] = &[
    "bookid",
    "book",
    "itemid",
    "item",
    "productid",
    "product",
    "sku",
    "movieid",
    "movie",
    "filmid",
    "film",
    "articleid",
    "article",
    "titleid",
    "workid",
    "work",
    "asin",
    "copyid",
];
const RATINGS: &[&str] =
    &["rating", "bookrating", "stars", "score", "grade", "mark", "vote", "points", "note", "ratingvalue"];
const TIMES: &[&str] = &[
    "ratedat",
    "createdat",
    "created",
    "timestamp",
    "reviewedat",
    "date",
    "time",
    "ratedon",
    "ts",
    "addedat",
    "readat",
    "dateread",
    "dateadded",
    "borrowedat",
    "loanedat",
    "orderedat",
    "purchasedat",
    "updatedat",
    "reviewdate",
    "createdon",
    "when",
];
const TITLES: &[&str] = &["title", "booktitle", "name", "bookname", "movietitle", "itemname", "fulltitle"];
const AUTHORS: &[&str] = &["author", "authors", "bookauthor", "writer", "creator", "authorname", "director"];
const PUBLISHERS: &[&str] = &["publisher", "publishers", "publishername", "imprint", "studio"];
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
];

/// A name in lower case, letters and digits only.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How well a name fits a list, from 0 to 1; the first names of the list are the surest.
fn named(name: &str, list: &[&str]) -> f64 {
    let name = folded(name);
    match list.iter().position(|known| *known == name) {
        Some(place) => 1.0 - 0.2 * place as f64 / list.len() as f64,
        // Such as book_ean_code or user_uuid.
        None if list.iter().any(|known| known.len() > 3 && name.contains(known)) => 0.5,
        None => 0.0,
    }
}

/// What the sampled values of a column look like.
#[derive(Debug, Default)]
struct Content {
    /// How many values are not missing.
    known: usize,
    /// The share of these that are valid ISBNs.
    isbns: f64,
    /// The share that are numbers in the range of ratings, -10 to 100; `highest` is the greatest of them.
    marks: f64,
    highest: f64,
    /// The number of distinct values, as a share.
    distinct: f64,
    /// The share that are times.
    times: f64,
    zeros: bool,
}

impl Content {
    fn of(table: &SampledTable, column: usize) -> Self {
        let mut content = Self::default();
        let (mut isbns, mut marks, mut times) = (0, 0, 0);
        let mut distinct = HashSet::new();
        for value in table.values(column) {
            let text = value.trim();
            content.known += 1;
            isbns += usize::from(matches!(isbn::parse(text), Some(Key::Isbn { mended: None, .. })));
            if let Ok(number) = text.parse::<f64>() {
                if (-10.0..=100.0).contains(&number) {
                    marks += 1;
                    content.highest = content.highest.max(number);
                }
                content.zeros |= number == 0.0;
                // Seconds or milliseconds since 1970, from 1990 on.
                times += usize::from((6.3e8..1e11).contains(&number) || (6.3e11..1e14).contains(&number));
            } else {
                times += usize::from(looks_like_time(text));
            }
            distinct.insert(text);
        }
        let share = |part: usize| part as f64 / content.known.max(1) as f64;
        Self {
            isbns: share(isbns),
            marks: share(marks),
            times: share(times),
            distinct: share(distinct.len()),
            ..content
        }
    }

    fn as_user(&self, name: &str) -> f64 {
        // Readers rate several books: a column that hardly repeats is more likely the row's own number.
        let repeats = if self.known < 20 || self.distinct < 0.98 { 0.0 } else { -0.3 };
        named(name, USERS) + repeats - self.isbns
    }

    fn as_item(&self, name: &str) -> f64 {
        (named(name, ISBNS) + 0.2 * f64::from(u8::from(named(name, ISBNS) > 0.0))).max(named(name, ITEMS))
            + 1.5 * self.isbns
    }

    fn as_rating(&self, name: &str) -> f64 {
        // A few odd values do not rule a column out, and an empty table has only names.
        let fits = self.known == 0 || self.marks > 0.9;
        if fits { named(name, RATINGS) } else { 0.0 }
    }

    fn as_time(&self, name: &str) -> f64 {
        if self.known == 0 || self.times > 0.5 { 0.3 + named(name, TIMES) } else { 0.0 }
    }
}

fn looks_like_time(text: &str) -> bool {
    let date = text.get(..10).and_then(|date| chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").ok());
    date.is_some()
}

/// The column that fits best, and how well (at least 0.4); never one that is `taken`.
fn best(
    table: &SampledTable,
    contents: &[Content],
    taken: &[usize],
    fit: impl Fn(&Content, &str) -> f64,
) -> Option<(usize, f64)> {
    let free = (0..contents.len()).filter(|column| !taken.contains(column));
    let fits = free.map(|column| (column, fit(&contents[column], &table.columns[column])));
    // Reversed, because max_by gives the last of equals and the first is wanted.
    fits.filter(|(_, fit)| *fit >= 0.4).rev().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Finds the ratings and the table of books; `None` if no table has both readers and books.
pub fn guess(tables: &[SampledTable]) -> Option<Guess> {
    let contents: Vec<Vec<Content>> = tables
        .iter()
        .map(|table| (0..table.columns.len()).map(|column| Content::of(table, column)).collect())
        .collect();
    let mut found: Vec<(f64, u64, Guess)> = Vec::new();
    for (table, contents) in tables.iter().zip(&contents) {
        let Some((item, item_fit)) = best(table, contents, &[], Content::as_item) else { continue };
        let Some((user, user_fit)) = best(table, contents, &[item], Content::as_user) else { continue };
        let rating = best(table, contents, &[item, user], Content::as_rating);
        let taken: Vec<usize> =
            [Some(item), Some(user), rating.map(|(column, _)| column)].into_iter().flatten().collect();
        let time = best(table, contents, &taken, Content::as_time);
        let name = |column: usize| table.columns[column].clone();
        let fit = item_fit + user_fit + rating.map_or(0.0, |(_, fit)| fit) + named(&table.name, TABLES);
        found.push((
            fit,
            table.rows,
            Guess {
                ratings: table.name.clone(),
                user: name(user),
                isbn: name(item),
                rating: rating.map(|(column, _)| name(column)),
                rated_at: time.map(|(column, _)| name(column)),
                is_isbn: contents[item].isbns > 0.5
                    || (contents[item].known == 0 && named(&table.columns[item], ISBNS) > 0.0),
                zeros: rating.filter(|(column, _)| contents[*column].zeros).map(|(column, _)| {
                    if contents[column].highest > 1.0 { Zeros::Unrated } else { Zeros::Dislike }
                }),
                books: None,
                through: None,
            },
        ));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    let (_, _, mut guess) = found.into_iter().next()?;
    books_table(&mut guess, tables, &contents);
    Some(guess)
}

/// Finds the table of books that goes with the ratings.
fn books_table(guess: &mut Guess, tables: &[SampledTable], contents: &[Vec<Content>]) {
    let ratings = tables.iter().find(|table| table.name == guess.ratings);
    let reference = ratings
        .and_then(|table| table.references.iter().find(|(from, ..)| from.eq_ignore_ascii_case(&guess.isbn)));
    let mut best_fit = 0.0;
    for (table, contents) in tables.iter().zip(contents).filter(|(table, _)| table.name != guess.ratings) {
        let find = |list: &'static [&'static str], taken: &[usize]| {
            best(table, contents, taken, |_, name| named(name, list)).map(|(column, _)| column)
        };
        let Some(title) = find(TITLES, &[]) else { continue };
        let (author, publisher) = (find(AUTHORS, &[title]), find(PUBLISHERS, &[title]));
        let name = |column: usize| table.columns[column].clone();
        let isbn = best(table, contents, &[title], |content, _| content.isbns).map(|(column, _)| column);
        let same = table.columns.iter().position(|column| folded(column) == folded(&guess.isbn));
        let number = match reference {
            Some((_, other, column)) if other.eq_ignore_ascii_case(&table.name) => {
                table.columns.iter().position(|name| {
                    name.eq_ignore_ascii_case(column) || (column.is_empty() && folded(name) == "id")
                })
            }
            Some(_) => None,
            // Such as book_id and books.id.
            None => table.columns.iter().position(|column| folded(column) == "id").filter(|_| {
                let (item, table) = (folded(&guess.isbn), folded(&table.name));
                item.strip_suffix("id").is_some_and(|item| !item.is_empty() && table.starts_with(item))
            }),
        };
        let (isbn, through) = match (guess.is_isbn, same, isbn, number) {
            (true, _, Some(isbn), _) => (isbn, None),
            (false, _, Some(isbn), Some(number)) if isbn != number => (isbn, Some(name(number))),
            (_, Some(same), ..) => (same, None),
            (false, None, None, Some(number)) => (number, None),
            _ => continue,
        };
        let fit = 1.0 + f64::from(u8::from(author.is_some())) + f64::from(u8::from(publisher.is_some()));
        if fit > best_fit {
            best_fit = fit;
            guess.through = through;
            guess.books = Some(BooksTable {
                table: table.name.clone(),
                isbn: name(isbn),
                title: Some(name(title)),
                author: author.map(name),
                publisher: publisher.map(name),
            });
        }
    }
    guess.is_isbn |= guess.through.is_some();
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
            (guess.ratings.as_str(), guess.user.as_str(), guess.isbn.as_str()),
            ("book_reviews", "reader", "isbn_13")
        );
        assert_eq!((guess.rating.as_deref(), guess.rated_at.as_deref()), (Some("stars"), Some("created")));
        assert!(guess.is_isbn && guess.zeros == Some(Zeros::Unrated) && guess.through.is_none());
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
        assert_eq!((guess.user.as_str(), guess.isbn.as_str(), guess.is_isbn), ("userId", "movieId", false));
        assert_eq!(guess.rated_at.as_deref(), Some("timestamp"));
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
        assert_eq!((guess.user.as_str(), guess.isbn.as_str(), guess.rating), ("member_id", "book_id", None));
        assert_eq!((guess.through.as_deref(), guess.is_isbn), (Some("id"), true));
        assert_eq!(guess.books.map(|books| books.isbn), Some("isbn".into()));
    }

    #[test]
    fn a_database_of_something_else_is_none_of_books() {
        let users = table("users", &["id", "name", "email"], &[&["1", "Ann", "a@example.org"]]);
        assert_eq!(guess(&[users]), None);
        assert_eq!(guess(&[]), None);
    }
}
