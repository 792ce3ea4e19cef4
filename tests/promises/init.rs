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

/// What `init` makes of tables: the configuration file, and what was said.
fn init_of(sql: &str) -> (Shop, String, String) {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    shop.sql(sql);
    let out = shop.folder.path().join("nightshelf.toml");
    let ran = shop.call(&["init", "--out", out.to_str().unwrap()]).ok();
    let file = std::fs::read_to_string(&out).unwrap();
    shop.call(&["run", "--config", out.to_str().unwrap()]).ok();
    (shop, file, ran.stdout)
}

/// Reader and book of the readings that a configuration names.
fn pairs(shop: &Shop, file: &str) -> Vec<String> {
    let file: toml::Table = toml::from_str(file).unwrap();
    let query = &file["source"]["query"];
    shop.rows(&format!("SELECT * FROM ({}) ORDER BY 1, 2", query.as_str().unwrap()))
        .into_iter()
        .map(|row| row.split('|').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

const BOOKS: [&str; 2] = ["9780306406157", "9780804429573"];

#[test]
fn orders_lead_to_their_customers_and_their_books() {
    let (shop, file, said) = init_of(&format!(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
         CREATE TABLE products (id INTEGER PRIMARY KEY, title TEXT, isbn TEXT);
         CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INT REFERENCES users (id), status TEXT, created_at TEXT);
         CREATE TABLE order_items (id INTEGER PRIMARY KEY, order_id INT REFERENCES orders (id),
                                   product_id INT REFERENCES products (id), quantity INT);
         CREATE TABLE reviews (id INTEGER PRIMARY KEY, user_id INT, product_id INT, stars INT);
         INSERT INTO users VALUES (1, 'a@example.org'), (2, 'b@example.org');
         INSERT INTO products VALUES (7, 'Emma', '{}'), (8, 'Dune', '{}');
         INSERT INTO orders VALUES (1, 1, 'complete', '2024-01-01 10:00:00'), (2, 2, 'complete', '2024-01-02 10:00:00'),
                                   (3, 2, 'cancelled', '2024-01-03 10:00:00');
         INSERT INTO order_items VALUES (1, 1, 7, 1), (2, 1, 8, 1), (3, 2, 7, 1), (4, 3, 8, 1);
         INSERT INTO reviews VALUES (1, 1, 7, 5);",
        BOOKS[0], BOOKS[1]
    ));
    // What was bought, and what was reviewed: Emma twice.
    assert_eq!(
        pairs(&shop, &file),
        [
            format!("1 {}", BOOKS[0]),
            format!("1 {}", BOOKS[0]),
            format!("1 {}", BOOKS[1]),
            format!("2 {}", BOOKS[0])
        ]
    );
    assert!(file.contains("books = \"products\""), "{file}");
    assert!(
        said.contains("not counted as read: cancelled") && said.contains("4 rows with a reader and a book"),
        "{said}"
    );
}

#[test]
fn what_was_bought_reviewed_and_looked_at_is_united_and_baskets_are_not() {
    let (shop, file, said) = init_of(&format!(
        "CREATE TABLE auth_user (id INTEGER PRIMARY KEY, username TEXT);
         CREATE TABLE catalogue_product (id INTEGER PRIMARY KEY, upc TEXT, title TEXT);
         CREATE TABLE basket_basket (id INTEGER PRIMARY KEY, owner_id INT REFERENCES auth_user (id), status TEXT);
         CREATE TABLE basket_line (id INTEGER PRIMARY KEY, basket_id INT REFERENCES basket_basket (id),
                                   product_id INT REFERENCES catalogue_product (id), date_created TEXT);
         CREATE TABLE order_order (id INTEGER PRIMARY KEY, user_id INT REFERENCES auth_user (id), status TEXT, date_placed TEXT);
         CREATE TABLE order_line (id INTEGER PRIMARY KEY, order_id INT REFERENCES order_order (id),
                                  product_id INT REFERENCES catalogue_product (id), quantity INT);
         CREATE TABLE reviews_productreview (id INTEGER PRIMARY KEY, user_id INT REFERENCES auth_user (id), score INT,
                                             product_id INT REFERENCES catalogue_product (id), date_created TEXT);
         CREATE TABLE analytics_userproductview (id INTEGER PRIMARY KEY, user_id INT REFERENCES auth_user (id),
                                                 product_id INT REFERENCES catalogue_product (id), date_created TEXT);
         CREATE VIEW v_orders AS SELECT user_id, product_id FROM order_line JOIN order_order o ON o.id = order_id;
         INSERT INTO auth_user VALUES (1, 'ann'), (2, 'bob');
         INSERT INTO catalogue_product VALUES (7, '{}', 'Emma'), (8, '{}', 'Dune');
         INSERT INTO basket_basket VALUES (1, 1, 'Open'), (2, 2, 'Open');
         WITH n (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 90)
             INSERT INTO basket_line (basket_id, product_id) SELECT 1 + v % 2, 7 + v / 2 % 2 FROM n;
         INSERT INTO order_order VALUES (1, 1, 'Complete', '2024-01-01 10:00:00'), (2, 2, 'Complete', '2024-01-02 10:00:00');
         WITH n (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 1500)
             INSERT INTO order_order SELECT v + 2, 2, CASE v WHEN 1500 THEN 'Cancelled' ELSE 'Complete' END, '2024-01-03' FROM n;
         INSERT INTO order_line VALUES (1, 1, 7, 1), (2, 2, 8, 1), (3, 1502, 7, 1);
         INSERT INTO reviews_productreview VALUES (1, 1, 5, 7, '2024-02-01');
         INSERT INTO analytics_userproductview VALUES (1, 2, 7, '2024-01-01'), (2, 1, 8, '2024-01-01');",
        BOOKS[0], BOOKS[1]
    ));
    let config: toml::Table = toml::from_str(&file).unwrap();
    let query = config["source"]["query"].as_str().unwrap();
    let rows = shop.rows(&format!("SELECT user_id, isbn, rating, weight FROM ({query}) ORDER BY 4, 1, 2"));
    assert_eq!(
        rows,
        [
            format!("1|{}|0|0.2", BOOKS[1]),
            format!("2|{}|0|0.2", BOOKS[0]),
            format!("1|{}|5|1", BOOKS[0]),
            format!("1|{}|0|3", BOOKS[0]),
            format!("2|{}|0|3", BOOKS[1]),
        ],
        "{file}"
    );
    // The one that was cancelled is far behind what is sampled.
    assert!(file.contains("NOT IN ('Cancelled')"), "{file}");
    assert!(said.contains("basket_line") && said.contains("looked at, and counts 0.2"), "{said}");
}

#[test]
fn marks_on_another_scale_and_readers_of_another_place_stay_apart() {
    let (_, file, said) = init_of(&format!(
        "CREATE TABLE ratings (user_id TEXT, isbn TEXT, rating INT);
         CREATE TABLE loans (patron TEXT, isbn TEXT, loaned_at TEXT);
         CREATE TABLE votes (user_id TEXT, isbn TEXT, points INT);
         INSERT INTO ratings VALUES ('ann', '{0}', 5), ('bob', '{0}', 4), ('ann', '{1}', 3), ('bob', '{1}', 1);
         INSERT INTO loans VALUES ('card 77', '{0}', '2024-01-01');
         INSERT INTO votes VALUES ('ann', '{0}', 90), ('bob', '{1}', 70);",
        BOOKS[0], BOOKS[1]
    ));
    assert!(file.contains("table = \"ratings\""), "{file}");
    assert!(said.contains("not taken") && said.contains("loans") && said.contains("votes"), "{said}");
}

#[test]
fn copies_lead_to_their_editions() {
    let (shop, file, _) = init_of(&format!(
        "CREATE TABLE book (myoid INT PRIMARY KEY, isbn13 TEXT, title TEXT, author TEXT);
         CREATE TABLE book_copy_info (copyid TEXT, item_oid INT REFERENCES book (myoid));
         CREATE TABLE member_history (memberid TEXT, copyid TEXT, reserved_date TEXT);
         INSERT INTO book VALUES (1, '{0}', 'Emma', 'Jane Austen'), (2, '{1}', 'Dune', 'Frank Herbert');
         INSERT INTO book_copy_info VALUES ('{0}-1', 1), ('{0}-2', 1), ('{1}-1', 2);
         INSERT INTO member_history VALUES ('M1', '{0}-1', '2024-01-02'), ('M2', '{0}-2', '2024-01-03'),
                                           ('M2', '{1}-1', '2024-01-03');",
        BOOKS[0], BOOKS[1]
    ));
    assert_eq!(
        pairs(&shop, &file),
        [format!("M1 {}", BOOKS[0]), format!("M2 {}", BOOKS[0]), format!("M2 {}", BOOKS[1])]
    );
}

#[test]
fn wishes_empty_tables_and_empty_columns_are_no_readings() {
    let (shop, file, said) = init_of(&format!(
        "CREATE TABLE reading_status (user_id INT, isbn TEXT, status TEXT, note TEXT, updated_at TEXT);
         INSERT INTO reading_status VALUES (1, '{0}', 'want-to-read', NULL, '2024-01-01'), (1, '{1}', 'finished', NULL, '2024-01-01'),
                                           (2, '{0}', 'finished', NULL, '2024-01-02'), (2, '{1}', NULL, NULL, '2024-01-02');",
        BOOKS[0], BOOKS[1]
    ));
    assert_eq!(
        pairs(&shop, &file),
        [format!("1 {}", BOOKS[1]), format!("2 {}", BOOKS[0]), format!("2 {}", BOOKS[1])]
    );
    assert!(said.contains("not counted as read: want-to-read") && !said.contains("stars in"), "{said}");
    // Calibre-Web: bookmarks that nobody has set, and marks of what was read.
    let (shop, file, _) = init_of(
        "CREATE TABLE bookmark (id INTEGER PRIMARY KEY, user_id INT, book_id INT, bookmark_key TEXT);
         CREATE TABLE book_read_link (id INTEGER PRIMARY KEY, book_id INT, user_id INT, read_status INT, last_modified TEXT);
         INSERT INTO book_read_link (book_id, user_id, read_status, last_modified)
             VALUES (1, 1, 1, '2024-01-01'), (2, 1, 0, '2024-01-01'), (1, 2, 1, '2024-01-02');
         CREATE VIEW meta AS SELECT sortconcat(book_id, user_id) AS x FROM book_read_link;",
    );
    assert_eq!(pairs(&shop, &file), ["1 1", "2 1"]);
}

#[test]
fn where_nothing_fits_it_says_why_for_each_table() {
    let shop = Shop::empty();
    shop.sql(
        "DROP TABLE ratings; CREATE TABLE users (id INTEGER PRIMARY KEY, login TEXT); INSERT INTO users VALUES (1, 'ann');
         CREATE TABLE visits (member_id INT, door TEXT); INSERT INTO visits VALUES (1, 'north')",
    );
    let ran = shop.call(&["init"]).failed(65, "users (id, login)");
    assert!(ran.stderr.contains("leads to no books"), "{}", ran.stderr);
}
