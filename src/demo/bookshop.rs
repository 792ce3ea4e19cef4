//! A small bookshop, entirely made up, for `nightshelf demo`.
//!
//! Real ratings are not ours to give away, and random ones hold nothing to find. So each reader here loves a
//! genre or two and a few authors, and sometimes reads what everybody reads. The table is as untidy as real
//! ones are: books in many spellings, zeros that mean "read, not rated", and unusable rows. No author, title,
//! reader or publisher here is meant to be a real one.

use std::collections::HashSet;
use std::hash::Hash;

use chrono::DateTime;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Exp1, StandardNormal};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value};

use super::words::{GENRES, PUBLISHERS, author_name, reader_name, title, word};
use crate::database::Database;
use crate::error::Result;

/// Each genre has at least this many; its last author may add a few.
const BOOKS_A_GENRE: usize = 50;
const READERS: usize = 2_000;
/// The share of reading that follows the reader's own taste; the rest follows fame.
const BY_TASTE: f64 = 0.8;
/// The share of ratings that are zeros: read, not rated.
const IMPLICIT: f64 = 0.35;
/// The share of rows that do not spell the book as the catalogue does.
const SPELLED_OTHERWISE: f64 = 0.25;
/// The chance of a second rating of the same book: about sixty in the whole shop.
const RATED_AGAIN: f64 = 0.0018;
/// Unusable rows of each kind; there are seven kinds.
const SPOILED_A_KIND: usize = 6;
const DAY: i64 = 86_400;
/// 2024-01-01 00:00:00 UTC. The shop's last rating is from the autumn of 2026.
const OPENED: i64 = 1_704_067_200;
const OPEN_FOR: i64 = 1_000 * DAY;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventedBook {
    /// As the catalogue spells it: ISBN-13 or ISBN-10, with hyphens or without.
    pub isbn: String,
    /// Unique.
    pub title: String,
    /// First name and surname.
    pub author: String,
    pub year: i32,
    /// The same for all books of an author.
    pub publisher: String,
}

/// A value as an application might have stored it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    Text(String),
    /// An ISBN loses its leading zeros this way.
    Integer(i64),
    Null,
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Cell::Text(text) => text.to_sql(),
            Cell::Integer(number) => number.to_sql(),
            Cell::Null => Ok(ToSqlOutput::Owned(Value::Null)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// One of [`Bookshop::readers`].
    pub user_id: i64,
    /// In one of many spellings.
    pub isbn: Cell,
    /// From 1 to 10; 0 is "read, not rated".
    pub rating: Cell,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    pub rated_at: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookshop {
    /// Genre by genre.
    pub books: Vec<InventedBook>,
    /// Ids, with gaps as in any real table, and names.
    pub readers: Vec<(i64, String)>,
    /// Oldest first.
    pub ratings: Vec<Row>,
}

impl Bookshop {
    /// The same seed makes the same bookshop.
    pub fn new(seed: u64) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let items = stock(rng);
        let (mut readers, mut ratings) = (Vec::new(), Vec::new());
        let mut user_id: i64 = 1_000;
        for _ in 0..READERS {
            user_id += rng.random_range(1..10);
            readers.push((user_id, reader_name(rng)));
            read(user_id, &items, &mut ratings, rng);
        }
        spoil(&readers, &items, &mut ratings, rng);
        ratings.sort_by(|a, b| a.rated_at.cmp(&b.rated_at));
        Self { books: items.into_iter().map(|item| item.book).collect(), readers, ratings }
    }

    /// Writes the tables `books`, `readers` and `ratings`.
    ///
    /// # Errors
    /// If one of them exists already, or the database cannot be written.
    pub fn write(&self, db: &mut Database) -> Result<()> {
        db.write("making the bookshop", |tx| {
            tx.execute_batch(include_str!("../../sql/bookshop.sql"))?;
            let mut add = tx.prepare("INSERT INTO books VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for book in &self.books {
                add.execute((&book.isbn, &book.title, &book.author, book.year, &book.publisher))?;
            }
            let mut add = tx.prepare("INSERT INTO readers VALUES (?1, ?2)")?;
            for (user_id, name) in &self.readers {
                add.execute((user_id, name))?;
            }
            let mut add = tx.prepare("INSERT INTO ratings VALUES (?1, ?2, ?3, ?4)")?;
            for row in &self.ratings {
                add.execute((row.user_id, &row.isbn, &row.rating, &row.rated_at))?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// A book, and what decides who reads it and how it is rated.
struct Item {
    book: InventedBook,
    isbn: Isbn,
    genre: usize,
    author: usize,
    /// How much it is read, relative to the others.
    fame: f64,
    /// How much better it is than similar books, in standard deviations.
    quality: f64,
}

/// Makes the catalogue: authors, their books, and how well known each book is.
fn stock(rng: &mut ChaCha8Rng) -> Vec<Item> {
    let (mut names, mut titles, mut isbns) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut items: Vec<Item> = Vec::new();
    for (genre, lists) in GENRES.into_iter().enumerate() {
        let enough = items.len() + BOOKS_A_GENRE;
        while items.len() < enough {
            let name = fresh(&mut names, || author_name(rng));
            let publisher = word(PUBLISHERS, rng);
            let mut year = rng.random_range(1950..2010);
            for _ in 0..rng.random_range(3..=8) {
                let isbn = fresh(&mut isbns, || Isbn(rng.random_range(0..200_000_000)));
                let book = InventedBook {
                    isbn: isbn.catalogued(year, rng),
                    title: fresh(&mut titles, || title(lists, rng)),
                    author: name.clone(),
                    year,
                    publisher: publisher.to_owned(),
                };
                let (author, quality) = (names.len(), rng.sample(StandardNormal));
                items.push(Item { book, isbn, genre, author, fame: 0.0, quality });
                year = (year + rng.random_range(1..=4)).min(2025);
            }
        }
    }
    let mut ranks: Vec<usize> = (0..items.len()).collect();
    ranks.shuffle(rng);
    for (item, rank) in items.iter_mut().zip(ranks) {
        item.fame = popularity(rank);
    }
    items
}

/// Zipf's law with its head flattened, so that no single book is read by everybody.
fn popularity(rank: usize) -> f64 {
    1.0 / (rank as f64 + 4.0)
}

struct Taste {
    genres: Vec<usize>,
    authors: Vec<usize>,
    /// How much higher this reader rates than others do, in standard deviations.
    generosity: f64,
}

impl Taste {
    fn new(items: &[Item], rng: &mut ChaCha8Rng) -> Self {
        let how_many = rng.random_range(1..=2);
        let genres = sample((0..GENRES.len()).map(popularity), how_many, rng);
        // A reader discovers an author through one of the books.
        let fame = |item: &Item| if genres.contains(&item.genre) { item.fame } else { 0.0 };
        let discoveries = sample(items.iter().map(fame), 2, rng);
        let authors = discoveries.into_iter().map(|index| items[index].author).collect();
        Self { genres, authors, generosity: rng.sample(StandardNormal) }
    }

    /// The weight of a book in this reader's choice, and the mean rating of such books.
    fn liking(&self, item: &Item) -> (f64, f64) {
        if self.authors.contains(&item.author) {
            (5.0, 8.9)
        } else if self.genres.contains(&item.genre) {
            (1.0, 8.1)
        } else {
            (0.0, 4.7)
        }
    }

    /// Books in the order of reading: each is chosen by taste, or else by fame alone.
    fn choose(&self, items: &[Item], amount: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let by_taste = |item: &Item| self.liking(item).0 * item.fame;
        let all_taste: f64 = items.iter().map(by_taste).sum();
        let all_fame: f64 = items.iter().map(|item| item.fame).sum();
        let chance =
            |item: &Item| BY_TASTE * by_taste(item) / all_taste + (1.0 - BY_TASTE) * item.fame / all_fame;
        sample(items.iter().map(chance), amount, rng)
    }

    fn rate(&self, item: &Item, rng: &mut ChaCha8Rng) -> Cell {
        if rng.random_bool(IMPLICIT) {
            return Cell::Integer(0);
        }
        let mood: f64 = rng.sample(StandardNormal);
        let mark = self.liking(item).1 + 0.6 * self.generosity + 0.7 * (item.quality + mood);
        let mark = mark.round().clamp(1.0, 10.0) as i64;
        // As if an old version of the application had sent its numbers as text.
        if rng.random_bool(0.03) { Cell::Text(mark.to_string()) } else { Cell::Integer(mark) }
    }
}

/// Adds all ratings of one reader.
fn read(user_id: i64, items: &[Item], ratings: &mut Vec<Row>, rng: &mut ChaCha8Rng) {
    let taste = Taste::new(items, rng);
    let amount = activity(rng);
    for index in taste.choose(items, amount, rng) {
        let item = &items[index];
        let mut isbn = Cell::Text(item.book.isbn.clone());
        if rng.random_bool(SPELLED_OTHERWISE) {
            isbn = item.isbn.respelled(&isbn, rng);
        }
        let mut at = rng.random_range(0..OPEN_FOR);
        let rating = taste.rate(item, rng);
        ratings.push(Row { user_id, isbn: isbn.clone(), rating, rated_at: moment(at) });
        if rng.random_bool(RATED_AGAIN) {
            at += rng.random_range(DAY..30 * DAY);
            isbn = item.isbn.respelled(&isbn, rng);
            let rating = taste.rate(item, rng);
            ratings.push(Row { user_id, isbn, rating, rated_at: moment(at) });
        }
    }
}

/// How many books a reader reads: log-normal, with the long tail that such counts have. About fifteen readers
/// read only one.
fn activity(rng: &mut ChaCha8Rng) -> usize {
    if rng.random_bool(0.0075) {
        return 1;
    }
    let zeal: f64 = rng.sample(StandardNormal);
    (12.0 * (0.8 * zeal).exp()).round().clamp(3.0, 120.0) as usize
}

/// Adds unusable rows, as every table gathers them over the years: they must not stop the job.
fn spoil(users: &[(i64, String)], items: &[Item], ratings: &mut Vec<Row>, rng: &mut ChaCha8Rng) {
    for _ in 0..SPOILED_A_KIND {
        let isbn = pick(items, rng).isbn;
        let sound = Cell::Text(isbn.thirteen());
        let spoiled = [
            (Cell::Null, Cell::Integer(8)),
            (sound.clone(), Cell::Null),
            (sound.clone(), Cell::Text("n/a".to_owned())),
            (sound, Cell::Integer(77)),
            (Cell::Text(isbn.mistyped()), Cell::Integer(7)),
            // The key that a very large shop gives to things without an ISBN.
            (Cell::Text(format!("B00{:07X}", rng.random_range(0..0xFFF_FFFF))), Cell::Integer(9)),
            // What a spreadsheet makes of an ISBN-13.
            (Cell::Text("9,78292E+12".to_owned()), Cell::Integer(6)),
        ];
        for (isbn, rating) in spoiled {
            let rated_at = moment(rng.random_range(0..OPEN_FOR));
            ratings.push(Row { user_id: pick(users, rng).0, isbn, rating, rated_at });
        }
    }
}

/// The nine digits of an ISBN between prefix and check digit. They begin with 0 or 1, the groups of English,
/// so half of them have a zero to lose.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Isbn(u32);

impl Isbn {
    fn ten(self) -> String {
        let nine = format!("{:09}", self.0);
        format!("{nine}{}", check_digit_10(nine.as_bytes()))
    }

    fn thirteen(self) -> String {
        let twelve = format!("978{:09}", self.0);
        format!("{twelve}{}", check_digit_13(twelve.as_bytes()))
    }

    /// The catalogue's spelling. ISBN-13 came in 2007, and some older books keep their ISBN-10.
    fn catalogued(self, year: i32, rng: &mut ChaCha8Rng) -> String {
        let old = year < 2007 && rng.random_bool(0.3);
        let code = if old { self.ten() } else { self.thirteen() };
        if rng.random_bool(0.5) { parted(&code, '-') } else { code }
    }

    /// Some spelling other than the given one, as found in real tables.
    fn respelled(self, given: &Cell, rng: &mut ChaCha8Rng) -> Cell {
        let (ten, thirteen) = (self.ten(), self.thirteen());
        let spelling = match ten.parse::<i64>() {
            // As in a column of numbers; what ends in X cannot be one.
            Ok(number) if rng.random_bool(0.15) => Cell::Integer(number),
            _ => Cell::Text(match rng.random_range(0..34) {
                0..8 => thirteen,
                8..16 => parted(&thirteen, '-'),
                16..20 => parted(&thirteen, ' '),
                20..23 => format!("ISBN {}", parted(&thirteen, '-')),
                23..28 => ten,
                28..31 => parted(&ten, '-'),
                31..33 => ten.to_lowercase(),
                // Full-width digits, as an East Asian keyboard types them.
                _ => thirteen.chars().filter_map(|c| char::from_u32(c as u32 + 0xFEE0)).collect(),
            }),
        };
        if spelling == *given { self.respelled(given, rng) } else { spelling }
    }

    /// The ISBN-13 with a wrong check digit.
    fn mistyped(self) -> String {
        let mut code = self.thirteen();
        let wrong = if code.pop() == Some('0') { '1' } else { '0' };
        code.push(wrong);
        code
    }
}

/// For nine ASCII digits: weights 10 down to 2, modulo 11, where X stands for 10.
fn check_digit_10(nine: &[u8]) -> char {
    let sum: u32 = nine.iter().zip((2..=10).rev()).map(|(d, w)| u32::from(d - b'0') * w).sum();
    char::from_digit((11 - sum % 11) % 11, 10).unwrap_or('X')
}

/// For twelve ASCII digits: weights 1 and 3 by turns, modulo 10.
fn check_digit_13(twelve: &[u8]) -> char {
    let weights = [1, 3].into_iter().cycle();
    let sum: u32 = twelve.iter().zip(weights).map(|(d, w)| u32::from(d - b'0') * w).sum();
    char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0')
}

/// Separates prefix, group, registrant (here of four digits), publication and check digit.
fn parted(code: &str, separator: char) -> String {
    let mut parted = String::new();
    for (position, digit) in code.char_indices() {
        if position > 0 && matches!(code.len() - position, 10 | 9 | 5 | 1) {
            parted.push(separator);
        }
        parted.push(digit);
    }
    parted
}

fn pick<'a, T>(list: &'a [T], rng: &mut ChaCha8Rng) -> &'a T {
    &list[rng.random_range(0..list.len())]
}

/// Makes values until one has not been seen before.
fn fresh<T: Clone + Eq + Hash>(seen: &mut HashSet<T>, mut make: impl FnMut() -> T) -> T {
    loop {
        let made = make();
        if seen.insert(made.clone()) {
            return made;
        }
    }
}

/// Draws `amount` different indices by weight, or as many as have a weight above zero. Each index arrives
/// after an exponential time whose rate is its weight, and the first to arrive are taken: Efraimidis and
/// Spirakis, "Weighted random sampling with a reservoir" (2006).
fn sample(weights: impl Iterator<Item = f64>, amount: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut arrivals: Vec<(f64, usize)> = weights
        .enumerate()
        .filter(|&(_, weight)| weight > 0.0)
        .map(|(index, weight)| (rng.sample::<f64, _>(Exp1) / weight, index))
        .collect();
    arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
    arrivals.into_iter().take(amount).map(|(_, index)| index).collect()
}

/// The time so many seconds after the opening, as SQLite's own functions write it.
fn moment(seconds: i64) -> String {
    let time = DateTime::from_timestamp(OPENED + seconds, 0).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standards' own test, which needs no check digit to be computed.
    fn is_valid(isbn: &str) -> bool {
        let value = |c: char| if c == 'X' { Some(10) } else { c.to_digit(10) };
        let digits: Vec<u32> = isbn.chars().filter_map(value).collect();
        let sum = |weights: &[u32]| weights.iter().zip(&digits).map(|(w, d)| w * d).sum::<u32>();
        match digits.len() {
            10 => sum(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11),
            13 => sum(&[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10),
            _ => false,
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_shop() {
        assert!(Bookshop::new(7) == Bookshop::new(7));
        assert!(Bookshop::new(7) != Bookshop::new(8));
    }

    #[test]
    fn check_digits_are_those_of_the_standards() {
        assert_eq!(check_digit_10(b"030640615"), '2');
        assert_eq!(check_digit_10(b"080442957"), 'X');
        assert_eq!(check_digit_13(b"978030640615"), '7');
        assert_eq!(parted("9780306406157", '-'), "978-0-3064-0615-7");
        assert!(!is_valid(&Isbn(30_640_615).mistyped()));
    }

    #[test]
    fn books_are_distinct_and_well_formed() {
        let books = Bookshop::new(7).books;
        let titles: HashSet<&str> = books.iter().map(|book| book.title.as_str()).collect();
        // Without prefix and check digit: an ISBN-10 and its ISBN-13 are one book.
        let bare = |book: &InventedBook| {
            book.isbn.replace('-', "").chars().rev().skip(1).take(9).collect::<String>()
        };
        let isbns: HashSet<String> = books.iter().map(bare).collect();
        assert_eq!((titles.len(), isbns.len()), (books.len(), books.len()));
        assert!(books.iter().all(|book| is_valid(&book.isbn)));
        assert!(titles.iter().all(|title| !title.contains(['{', '}', ';', '\n'])));
    }

    #[test]
    fn every_reader_has_rated_something() {
        let shop = Bookshop::new(7);
        let readers: HashSet<i64> = shop.readers.iter().map(|reader| reader.0).collect();
        let seen: HashSet<i64> = shop.ratings.iter().map(|row| row.user_id).collect();
        assert_eq!(readers.len(), READERS);
        assert_eq!(readers, seen);
    }

    #[test]
    fn the_ratings_are_as_untidy_as_real_ones() {
        let Bookshop { books, ratings, .. } = Bookshop::new(7);
        let count = |test: fn(&Row) -> bool| ratings.iter().filter(|&row| test(row)).count();
        assert_eq!(count(|row| row.isbn == Cell::Null), SPOILED_A_KIND);
        assert_eq!(count(|row| row.rating == Cell::Null), SPOILED_A_KIND);
        assert_eq!(count(|row| row.rating == Cell::Integer(77)), SPOILED_A_KIND);
        let lost_its_zero = |row: &Row| matches!(row.isbn, Cell::Integer(n) if n < 1_000_000_000);
        assert!(count(lost_its_zero) > 100);
        let catalogue: HashSet<Cell> = books.into_iter().map(|book| Cell::Text(book.isbn)).collect();
        let known = ratings.iter().filter(|row| catalogue.contains(&row.isbn)).count();
        let share = known as f64 / ratings.len() as f64;
        assert!((0.72..0.78).contains(&share), "{share} of rows spelled as in the catalogue");
    }
}
