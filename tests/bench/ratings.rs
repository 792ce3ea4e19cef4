//! Makes a database of ratings that look like people's: few readers with very many, few books that
//! everybody knows, and tastes to be found. For measuring how time and memory grow.
//!
//! ```sh
//! cargo run --release --example ratings -- ml-20m --db big.db
//! ```
//!
//! Each book has a kind; each reader likes some kinds, the first most. Activity is log-normal, the
//! popularity of books falls with a power of their place (Zipf), and stars say how well a book's kind
//! fits, give or take. The same seed makes the same ratings.

use std::collections::HashSet;
use std::error::Error;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, Normal};
use rusqlite::Connection;

/// Kinds of books: one for every few hundred, as on a bookshop's shelves.
const KINDS: usize = 40;
/// How often a reader takes a book of their first, second and third kind; else any.
const LIKING: [f64; 3] = [0.5, 0.25, 0.1];
/// Popularity falls with place to this power.
const ZIPF: f64 = 0.9;
/// Spread of the logarithm of how much people read.
const ACTIVITY: f64 = 1.1;

/// Makes a database of ratings for benchmarks.
#[derive(Debug, Parser)]
struct Args {
    /// How many readers, books and ratings.
    shape: Shape,
    /// The file; must not be there yet.
    #[arg(long)]
    db: PathBuf,
    /// Another seed makes other ratings.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Makes only one in so many of the ratings, by as many readers of as many books.
    #[arg(long, default_value_t = 1)]
    fraction: usize,
}

/// Readers, books and ratings of well-known data sets.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    /// 6,000 × 3,700, a million.
    Dense,
    /// 138,000 × 27,000, 20 million.
    #[value(name = "ml-20m")]
    Ml20m,
    /// 480,000 × 18,000, 100 million.
    Netflix,
    /// A million × a million, 20 million.
    Wide,
}

impl Shape {
    fn numbers(self) -> (usize, usize, usize) {
        match self {
            Shape::Dense => (6_000, 3_700, 1_000_000),
            Shape::Ml20m => (138_000, 27_000, 20_000_000),
            Shape::Netflix => (480_000, 18_000, 100_000_000),
            Shape::Wide => (1_000_000, 1_000_000, 20_000_000),
        }
    }
}

/// Some books, and the sums of their popularities up to each.
#[derive(Default)]
struct Shelf {
    books: Vec<u32>,
    sums: Vec<f64>,
}

impl Shelf {
    fn add(&mut self, book: u32, popularity: f64) {
        self.sums.push(self.sums.last().unwrap_or(&0.0) + popularity);
        self.books.push(book);
    }

    fn draw(&self, random: &mut ChaCha8Rng) -> u32 {
        let at = random.random_range(0.0..*self.sums.last().unwrap_or(&1.0));
        self.books[self.sums.partition_point(|sum| *sum <= at).min(self.books.len() - 1)]
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if args.db.exists() {
        return Err(format!("{} is there already", args.db.display()).into());
    }
    let (users, books, ratings) = args.shape.numbers();
    let ratings = ratings / args.fraction.max(1);
    let mut random = ChaCha8Rng::seed_from_u64(args.seed);
    let (mut all, mut kinds) = (Shelf::default(), Vec::new());
    kinds.resize_with(KINDS, Shelf::default);
    let mut kind_of = Vec::with_capacity(books);
    for book in 0..books {
        // The first few would be read by everybody.
        let popularity = (book as f64 + 10.0).powf(-ZIPF);
        let kind = random.random_range(0..KINDS);
        all.add(book as u32, popularity);
        kinds[kind].add(book as u32, popularity);
        kind_of.push(kind);
    }
    let activity = LogNormal::new(0.0, ACTIVITY)?;
    let activities: Vec<f64> = (0..users).map(|_| activity.sample(&mut random)).collect();
    let each = ratings as f64 / activities.iter().sum::<f64>();
    let noise = Normal::<f64>::new(0.0, 1.2)?;

    let mut db = Connection::open(&args.db)?;
    db.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
         CREATE TABLE ratings (user_id INTEGER NOT NULL, isbn TEXT NOT NULL, rating REAL);",
    )?;
    let transaction = db.transaction()?;
    let mut insert = transaction.prepare("INSERT INTO ratings VALUES (?, ?, ?)")?;
    let isbns: Vec<String> = (0..books).map(isbn).collect();
    let mut own = HashSet::new();
    for (user, activity) in activities.iter().enumerate() {
        let likes: [usize; 3] = std::array::from_fn(|_| random.random_range(0..KINDS));
        let generosity = noise.sample(&mut random) * 0.5;
        let wanted = ((activity * each) as usize).clamp(1, books / 3);
        own.clear();
        // Whoever reads nearly all of a kind draws many a book twice.
        for _ in 0..wanted * 3 {
            let mut at = random.random_range(0.0..1.0);
            let liked = LIKING.iter().zip(likes).find_map(|(share, kind)| {
                at -= share;
                (at < 0.0).then_some(kind)
            });
            let shelf = liked.map(|kind| &kinds[kind]).filter(|shelf| !shelf.books.is_empty());
            let book = shelf.unwrap_or(&all).draw(&mut random);
            if !own.insert(book) {
                continue;
            }
            let fits = if likes.contains(&kind_of[book as usize]) { 1.5 } else { 0.0 };
            let stars = (6.5 + fits + generosity + noise.sample(&mut random)).round().clamp(1.0, 10.0);
            insert.execute((user as i64 + 1, &isbns[book as usize], stars))?;
            if own.len() == wanted {
                break;
            }
        }
    }
    drop(insert);
    transaction.commit()?;
    Ok(())
}

/// A valid ISBN-13.
fn isbn(book: usize) -> String {
    let digits = format!("978{book:09}");
    let sum: usize =
        digits.bytes().enumerate().map(|(at, digit)| (digit - b'0') as usize * [1, 3][at % 2]).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}
