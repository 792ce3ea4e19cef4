//! Books that nobody has rated reach those who like their authors.

use crate::common::{Shop, isbn};

const NEW: &str = "SELECT count(*) FROM recommendations WHERE isbn NOT IN (SELECT isbn FROM ratings)";

/// Four tastes, each with three authors; of each author one book that nobody has rated.
fn shop() -> Shop {
    let shop = Shop::with_tastes(300, 120, 12);
    shop.sql("CREATE TABLE books (isbn TEXT PRIMARY KEY, title TEXT, author TEXT)");
    let connection = shop.open();
    for book in 0..120u64 {
        let author = format!("Writer {} of Taste {}", book / 4 % 3, book % 4);
        let row = (isbn(book), format!("Book {book}"), author);
        connection.execute("INSERT INTO books VALUES (?1, ?2, ?3)", row).unwrap();
    }
    for book in 0..12u64 {
        let author = format!("Taste {}, Writer {} of", book % 4, book / 4);
        let row = (isbn(500 + book), format!("New {book}"), author);
        connection.execute("INSERT INTO books VALUES (?1, ?2, ?3)", row).unwrap();
    }
    connection
        .execute("INSERT INTO books VALUES (?1, 'A first novel', 'Nobody Known')", [isbn(600)])
        .unwrap();
    shop
}

/// Books without ratings whose author is known.
fn new_books(shop: &Shop) -> i64 {
    shop.one(
        "SELECT count(*) FROM books WHERE isbn NOT IN (SELECT isbn FROM ratings) AND author LIKE '%Taste%'",
    )
}

#[test]
fn they_are_recommended_to_those_who_like_the_author_and_no_more_than_allowed() {
    let shop = shop();
    // Long lists: most readers have read what is best known of their taste.
    let report = shop.call(&["run", "--top", "20", "--json"]).ok().json();
    assert_eq!(
        (&report["new_books"], &report["items"]),
        (&new_books(&shop).into(), &shop.one::<i64>("SELECT count(DISTINCT isbn) FROM ratings").into())
    );
    assert!(shop.one::<i64>(NEW) > 50, "{}", shop.one::<i64>(NEW));
    let most = "SELECT max(n) FROM (SELECT count(*) AS n FROM recommendations
                WHERE isbn NOT IN (SELECT isbn FROM ratings) GROUP BY user_id)";
    assert!(shop.one::<i64>(most) <= 4, "a fifth of twenty at most");
    // Readers of taste u % 4: the new books that they see are mostly of their own taste.
    let own = "SELECT avg(author LIKE '%Taste ' || (user_id % 4) || '%') FROM recommendations
               JOIN books USING (isbn) WHERE isbn NOT IN (SELECT isbn FROM ratings)";
    assert!(shop.one::<f64>(own) > 0.7, "{}", shop.one::<f64>(own));
    assert_eq!(
        shop.one::<i64>(&format!("SELECT count(*) FROM recommendations WHERE isbn = '{}'", isbn(600))),
        0
    );
    let popular = "SELECT count(*) FROM recommendations_popular WHERE isbn NOT IN (SELECT isbn FROM ratings)";
    assert_eq!(shop.one::<i64>(popular), 0, "what nobody has read is not popular");
    shop.keeps_its_promises(20);
    shop.call(&["check"]).ok();
    // The switch.
    let report = shop.call_with(&["run", "--json"], &[("NIGHTSHELF_NEW_BOOKS", "0")]).ok().json();
    assert_eq!((&report["new_books"], shop.one::<i64>(NEW)), (&0.into(), 0));
    shop.call_with(&["run"], &[("NIGHTSHELF_NEW_BOOKS", "1.5")]).failed(78, "new_books");
}

#[test]
fn a_new_book_makes_a_new_night_and_its_first_ratings_a_backfill() {
    let shop = shop();
    shop.night();
    assert_eq!(shop.call(&["run", "--json"]).ok().json()["status"], "unchanged");
    // Another book by a known author: something has changed, though no rating has.
    let sql = format!("INSERT INTO books VALUES ('{}', 'Newest', 'Writer 1 of Taste 2')", isbn(700));
    shop.sql(&sql);
    let report = shop.call(&["run", "--json"]).ok().json();
    assert_eq!((&report["status"], &report["new_books"]), (&"published".into(), &new_books(&shop).into()));
    // Its first readers: the model knew it by its author only.
    for reader in [2, 6, 10, 14] {
        shop.add(reader, isbn(700), 9);
    }
    let report = shop.backfill(&[]);
    assert_eq!(
        (&report["metrics"]["new_items"], &report["new_books"]),
        (&1.into(), &new_books(&shop).into())
    );
    shop.keeps_its_promises(10);
    shop.call(&["check"]).ok();
    // The same lists as from a model that is trained anew would be too much to ask; but those readers'
    // lists have the book no more, and others' may.
    let sql = format!(
        "SELECT count(*) FROM recommendations WHERE isbn = '{}' AND user_id IN (2, 6, 10, 14)",
        isbn(700)
    );
    assert_eq!(shop.one::<i64>(&sql), 0);
}
