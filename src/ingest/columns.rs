//! Guesses which table holds the ratings and what its columns hold, from names and from content.

use super::contents::Content;
use super::fields::{Field, fit, folded, is_isbn_name};

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

/// How well the name of a table says that it has ratings, from 0 to 1; the first of the list are the surest.
fn as_ratings(name: &str) -> f64 {
    let name = folded(name);
    let place = TABLES.iter().position(|known| *known == name);
    place.map_or(0.0, |place| 1.0 - 0.2 * place as f64 / TABLES.len() as f64)
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
        .map(|table| (0..table.columns.len()).map(|column| Content::of(table.values(column))).collect())
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
        let fit = item_fit + user_fit + rating.map_or(0.0, |(_, fit)| fit) + as_ratings(&table.name);
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
                    || (contents[item].known == 0 && is_isbn_name(&table.columns[item])),
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
        let find = |field: Field, taken: &[usize]| {
            best(table, contents, taken, |_, name| fit(name, field)).map(|(column, _)| column)
        };
        let Some(title) = find(Field::Title, &[]) else { continue };
        let (author, publisher) = (find(Field::Author, &[title]), find(Field::Publisher, &[title]));
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
