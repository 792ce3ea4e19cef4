//! From an unknown database to the first lists.

use crate::common::{Shop, isbn};

/// The words that `init` would be followed by.
fn try_it(shop: &Shop) -> String {
    let out = shop.folder.path().join("nightshelf.toml");
    let words = out.to_str().unwrap().to_owned();
    let ran = shop.call(&["init", "--out", &words]).ok();
    let is_said = |words| ran.stdout.contains(words);
    assert!(is_said("17 4 * * *") && is_said("at 4:17"), "the line for crontab: {}", ran.stdout);
    shop.call(&["init", "--out", &words]).failed(1, "there already");
    shop.call(&["run", "--config", &words]).ok();
    std::fs::read_to_string(&out).unwrap()
}

#[test]
fn tables_by_other_names_are_found() {
    let shop = Shop::empty();
    shop.sql(
        "DROP TABLE ratings;
         CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);
         CREATE TABLE works (ean TEXT PRIMARY KEY, name TEXT, writer TEXT);
         CREATE TABLE book_reviews (id INTEGER PRIMARY KEY, reader TEXT, isbn_13 TEXT, stars INTEGER, at TEXT)",
    );
    let connection = shop.open();
    for n in 0..200u64 {
        let row = (format!("r{}", n % 20), isbn(n * n % 37), (n % 5 + 1) as i64, "2026-03-01");
        connection
            .execute("INSERT INTO book_reviews (reader, isbn_13, stars, at) VALUES (?1, ?2, ?3, ?4)", row)
            .unwrap();
    }
    for n in 0..37 {
        connection
            .execute("INSERT INTO works VALUES (?1, ?2, 'Ann Other')", (isbn(n), format!("Work {n}")))
            .unwrap();
    }
    let file = try_it(&shop);
    for line in ["table = \"book_reviews\"", "user = \"reader\"", "books = \"works\"", "author = \"writer\""]
    {
        assert!(file.contains(line), "{line} is not in {file}");
    }
    assert_eq!(shop.one::<i64>("SELECT count(DISTINCT user_id) FROM recommendations"), 20);
}

#[test]
fn films_are_found() {
    let shop = Shop::empty();
    shop.sql(
        "DROP TABLE ratings;
         CREATE TABLE movies (movieId INTEGER PRIMARY KEY, title TEXT, genres TEXT);
         CREATE TABLE ratings (userId INTEGER, movieId INTEGER, rating REAL, timestamp INTEGER);
         INSERT INTO movies VALUES (1, 'Toy Story (1995)', 'Animation'), (2, 'Jumanji (1995)', 'Adventure')",
    );
    let connection = shop.open();
    for n in 0..200i64 {
        let row = (n % 20, n * n % 37, (n % 10 + 1) as f64 / 2.0, 964_982_703 + n);
        connection.execute("INSERT INTO ratings VALUES (?1, ?2, ?3, ?4)", row).unwrap();
    }
    let file = try_it(&shop);
    assert!(file.contains("key = \"text\"") && file.contains("books = \"movies\""), "{file}");
    let shown = shop.call(&[
        "recommend",
        "--user",
        "3",
        "--config",
        shop.folder.path().join("nightshelf.toml").to_str().unwrap(),
    ]);
    assert_eq!(shown.code, 0, "{shown:?}");
}

#[test]
fn loans_of_numbered_books_lead_to_isbns() {
    let shop = Shop::empty();
    shop.sql(
        "DROP TABLE ratings;
         CREATE TABLE books (id INTEGER PRIMARY KEY, isbn TEXT, title TEXT);
         CREATE TABLE loans (id INTEGER PRIMARY KEY, member_id INTEGER, book_id INTEGER REFERENCES books (id))",
    );
    let connection = shop.open();
    for n in 0..37i64 {
        connection.execute("INSERT INTO books VALUES (?1, ?2, 'A book')", (n, isbn(n as u64))).unwrap();
    }
    for n in 0..200i64 {
        connection
            .execute("INSERT INTO loans (member_id, book_id) VALUES (?1, ?2)", (n % 20, n * n % 37))
            .unwrap();
    }
    let file = try_it(&shop);
    assert!(file.contains("JOIN"), "{file}");
    assert!(shop.one::<i64>("SELECT count(isbn13) FROM recommendations") > 100);
}

#[test]
fn a_database_of_something_else_is_told_apart() {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings; CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)");
    shop.call(&["init"]).failed(65, "users (id, name)");
}

#[test]
fn odd_tables_are_no_reason_to_stop() {
    let shop = Shop::empty();
    shop.sql(
        "DROP TABLE ratings;
         CREATE TABLE ratings (user_id INTEGER, isbn TEXT, rating INTEGER);
         CREATE TABLE notes (text TEXT);
         INSERT INTO notes VALUES (CAST(x'e9e9' AS TEXT));
         CREATE VIEW broken AS SELECT abs(-9223372036854775808) AS n FROM notes;
         CREATE TABLE likes (member INTEGER, ean TEXT, vote INTEGER)",
    );
    let out = shop.folder.path().join("empty.toml");
    shop.call(&["init", "--out", out.to_str().unwrap()]).ok();
    let file = std::fs::read_to_string(&out).unwrap();
    assert!(file.contains("rating = \"rating\"") && file.contains("key = \"isbn\""), "names tell: {file}");

    // One slip among many, and votes of which 0 is a bad one.
    shop.sql("DROP TABLE ratings");
    for n in 0..60u64 {
        let row = (n as i64 % 9, isbn(n % 11), if n == 7 { 5000 } else { n as i64 % 2 });
        shop.open().execute("INSERT INTO likes VALUES (?1, ?2, ?3)", row).unwrap();
    }
    shop.call(&["init", "--out", out.to_str().unwrap(), "--force", "--top", "7"]).ok();
    let file = std::fs::read_to_string(&out).unwrap();
    for line in ["rating = \"vote\"", "implicit_rating = -1.0", "top = 7"] {
        assert!(file.contains(line), "{line} is not in {file}");
    }
}
