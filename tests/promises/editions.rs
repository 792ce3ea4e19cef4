//! A list has one edition of a work, and none of what its reader has in another.

use crate::common::{Shop, isbn};

/// Books 0 to 59 are works, 60 to 119 the same in large print. What is one work stands in a table of its own.
fn shop() -> Shop {
    let shop = Shop::with_tastes(300, 120, 12);
    shop.sql(
        "CREATE TABLE books (isbn TEXT PRIMARY KEY, title TEXT, author TEXT);
         CREATE TABLE works (isbn TEXT PRIMARY KEY, work INTEGER)",
    );
    let connection = shop.open();
    for book in 0..120u64 {
        let work = book % 60;
        let (title, author) = match book < 60 {
            true => (format!("The {work} of them"), format!("Ann Writer{}", work % 20)),
            false => (format!("The {work} of them (Large Print)"), format!("WRITER{}, A.", work % 20)),
        };
        connection.execute("INSERT INTO books VALUES (?1, ?2, ?3)", (isbn(book), title, author)).unwrap();
        connection.execute("INSERT INTO works VALUES (?1, ?2)", (isbn(book), work as i64)).unwrap();
    }
    shop
}

/// Entries of lists whose work stands there before, or is the reader's own in another edition.
fn repeated(shop: &Shop) -> (i64, i64) {
    let twice = "SELECT count(*) - count(DISTINCT user_id || ' ' || work)
                 FROM recommendations JOIN works USING (isbn)";
    let own = "SELECT count(*) FROM recommendations r JOIN works w USING (isbn) WHERE EXISTS
               (SELECT 1 FROM ratings o JOIN works v ON v.isbn = o.isbn WHERE o.user_id = r.user_id AND v.work = w.work)";
    (shop.one(twice), shop.one(own))
}

#[test]
fn no_work_stands_twice_in_a_list() {
    let shop = shop();
    let report = shop.call(&["run", "--top", "20", "--json"]).ok();
    assert!(report.stderr.contains("60 works in 120 editions"), "{}", report.stderr);
    assert_eq!(repeated(&shop), (0, 0));
    let shortest = "SELECT min(n) FROM (SELECT count(*) AS n FROM recommendations GROUP BY user_id)";
    assert_eq!(shop.one::<i64>(shortest), 20, "they are as long as ever");
    let popular =
        "SELECT count(*), count(DISTINCT work) FROM recommendations_popular JOIN works USING (isbn)";
    assert_eq!(shop.rows(popular), ["60|60"]);
    shop.keeps_its_promises(20);
    shop.call(&["check"]).ok();

    // Who has read one of each taste's is filled up with what is popular, and that is no exception.
    for book in 0..50 {
        shop.add(7, isbn(book + 60), 8);
    }
    shop.add(901, isbn(5), 9);
    // And who has read them all, if not all editions, has nothing left.
    for book in 0..60 {
        shop.add(902, isbn(book + 60), 8);
    }
    shop.backfill(&[]);
    assert_eq!(repeated(&shop), (0, 0));
    assert!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 7") <= 10);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 902"), 0);
    shop.call(&["check"]).ok();

    let own = shop.one::<String>("SELECT isbn FROM ratings WHERE user_id = 901");
    let other = isbn(65);
    let explained = shop.call(&["explain", "--user", "901", "--isbn", &other]).ok();
    assert!(explained.stdout.contains("another edition"), "{}", explained.stdout);
    let near = shop.call(&["similar", "--isbn", &own, "--json"]).ok().json();
    let near: Vec<&str> =
        near["similar"].as_array().unwrap().iter().filter_map(|book| book["isbn"].as_str()).collect();
    assert!(near.len() == 10 && !near.contains(&other.as_str()), "{near:?}");
}

#[test]
fn editions_can_be_books_of_their_own() {
    let shop = shop();
    shop.call_with(&["run"], &[("NIGHTSHELF_ONE_EDITION", "false")]).ok();
    let (twice, own) = repeated(&shop);
    assert!(twice > 50 && own > 50, "{twice}, {own}");
    // That is a setting like any other: with another value the night is another.
    assert_eq!(shop.call(&["run", "--json"]).ok().json()["status"], "published");
    assert_eq!(repeated(&shop), (0, 0));
    // And so are other titles.
    assert_eq!(shop.call(&["run", "--json"]).ok().json()["status"], "unchanged");
    shop.sql("UPDATE books SET title = isbn");
    assert_eq!(shop.call(&["run", "--json"]).ok().json()["status"], "published");
    assert!(repeated(&shop).0 > 50);
}
