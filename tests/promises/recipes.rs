//! The recipes of docs/recipes.md, on tables as those programs have them; and whether `init` finds the same.

use std::path::Path;

use crate::common::Shop;

/// The settings under a heading of the document.
fn recipe(name: &str) -> String {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md")).unwrap();
    let section =
        text.split(&format!("\n## {name}\n")).nth(1).expect("a recipe").split("\n## ").next().unwrap();
    section.split("```toml\n").nth(1).expect("settings").split("```").next().unwrap().to_owned()
}

/// Reader and book of what the settings of a file read.
fn pairs(shop: &Shop, settings: &str) -> Vec<String> {
    let settings: toml::Table = settings.parse().unwrap();
    let source = settings["source"].as_table().unwrap();
    let query = source["query"].as_str().unwrap();
    let rows = shop.rows(&format!("SELECT * FROM ({query}\n) ORDER BY 1, 2"));
    let mut pairs: Vec<String> =
        rows.into_iter().map(|row| row.split('|').take(2).collect::<Vec<_>>().join(" ")).collect();
    pairs.dedup();
    pairs
}

/// Runs a night with the recipe, and with what `init` writes; both have to read these pairs. `found`: what `init` reads, if
/// that is something else.
#[track_caller]
fn cooked(name: &str, tables: &str, expected: &[&str], found: Option<&[&str]>) {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    shop.sql(tables);
    let (file, written) = (shop.folder.path().join("recipe.toml"), shop.folder.path().join("written.toml"));
    std::fs::write(&file, recipe(name)).unwrap();
    assert_eq!(pairs(&shop, &recipe(name)), expected, "the recipe for {name}");
    shop.call(&["init", "--out", written.to_str().unwrap()]).ok();
    let settings = std::fs::read_to_string(&written).unwrap();
    assert_eq!(pairs(&shop, &settings), found.unwrap_or(expected), "init for {name}: {settings}");
    for file in [&file, &written] {
        shop.call(&["run", "--config", file.to_str().unwrap(), "--force"]).ok();
        shop.call(&["check", "--config", file.to_str().unwrap()]).ok();
    }
    assert!(shop.one::<i64>("SELECT count(*) FROM recommendations_popular") > 0);
}

const EMMA: &str = "9780306406157";
const DUNE: &str = "9780804429573";

#[test]
fn calibre_web() {
    cooked(
        "Calibre-Web",
        "CREATE TABLE user (id INTEGER PRIMARY KEY, name VARCHAR(64), email VARCHAR(120), password VARCHAR);
         CREATE TABLE bookmark (id INTEGER PRIMARY KEY, user_id INTEGER, book_id INTEGER, format VARCHAR, bookmark_key VARCHAR);
         CREATE TABLE downloads (id INTEGER PRIMARY KEY, book_id INTEGER, user_id INTEGER);
         CREATE TABLE book_read_link (id INTEGER PRIMARY KEY, book_id INTEGER, user_id INTEGER REFERENCES user (id),
             read_status INTEGER NOT NULL, last_modified DATETIME, last_time_started_reading DATETIME,
             times_started_reading INTEGER NOT NULL);
         INSERT INTO user VALUES (1, 'ann', 'a@example.org', 'x'), (2, 'bob', 'b@example.org', 'x');
         INSERT INTO book_read_link VALUES (1, 11, 1, 1, '2024-01-01 10:00:00.5', NULL, 0), (2, 12, 1, 0, '2024-01-01 10:00:00.5', NULL, 0),
             (3, 11, 2, 1, '2024-01-02 10:00:00.5', NULL, 1), (4, 12, 2, 1, '2024-01-03 10:00:00.5', NULL, 1);",
        &["1 11", "2 11", "2 12"],
        None,
    );
}

#[test]
fn komga() {
    cooked(
        "Komga",
        &format!(
            "CREATE TABLE USER (ID varchar PRIMARY KEY, EMAIL varchar, PASSWORD varchar);
             CREATE TABLE SERIES (ID varchar PRIMARY KEY, NAME varchar);
             CREATE TABLE BOOK (ID varchar PRIMARY KEY, NAME varchar, SERIES_ID varchar REFERENCES SERIES (ID), CREATED_DATE datetime);
             CREATE TABLE BOOK_METADATA (BOOK_ID varchar PRIMARY KEY REFERENCES BOOK (ID), TITLE varchar, ISBN varchar NOT NULL DEFAULT '');
             CREATE TABLE READ_PROGRESS (BOOK_ID varchar REFERENCES BOOK (ID), USER_ID varchar REFERENCES USER (ID), CREATED_DATE datetime,
                 LAST_MODIFIED_DATE datetime, PAGE int, COMPLETED boolean, PRIMARY KEY (BOOK_ID, USER_ID));
             INSERT INTO USER VALUES ('0A1', 'a@example.org', 'x'), ('0A2', 'b@example.org', 'x');
             INSERT INTO SERIES VALUES ('0S1', 'A series');
             INSERT INTO BOOK VALUES ('0B1', 'one', '0S1', '2023-01-01'), ('0B2', 'two', '0S1', '2023-01-01');
             INSERT INTO BOOK_METADATA VALUES ('0B1', 'Emma', '{EMMA}'), ('0B2', 'Dune', '{DUNE}');
             INSERT INTO READ_PROGRESS VALUES ('0B1', '0A1', '2024-01-01', '2024-01-02 10:00:00', 9, 1),
                 ('0B2', '0A1', '2024-01-01', '2024-01-02 11:00:00', 3, 0), ('0B1', '0A2', '2024-01-01', '2024-01-03 10:00:00', 9, 1);"
        ),
        &[&format!("0A1 {EMMA}"), &format!("0A2 {EMMA}")],
        None,
    );
}

#[test]
fn kavita() {
    // Pages read say nothing to init: whoever has begun counts.
    cooked(
        "Kavita",
        &format!(
            "CREATE TABLE AspNetUsers (Id INTEGER PRIMARY KEY, UserName TEXT, Email TEXT);
             CREATE TABLE Chapter (Id INTEGER PRIMARY KEY, TitleName TEXT, ISBN TEXT, Pages INTEGER, VolumeId INTEGER);
             CREATE TABLE AppUserProgresses (Id INTEGER PRIMARY KEY, PagesRead INTEGER, VolumeId INTEGER, SeriesId INTEGER,
                 ChapterId INTEGER, AppUserId INTEGER, Created TEXT, LastModified TEXT, LastModifiedUtc TEXT);
             INSERT INTO AspNetUsers VALUES (1, 'ann', 'a@example.org'), (2, 'bob', 'b@example.org');
             INSERT INTO Chapter VALUES (31, 'Emma', '{EMMA}', 200, 41), (32, 'Dune', '{DUNE}', 300, 42);
             INSERT INTO AppUserProgresses VALUES
                 (1, 200, 41, 51, 31, 1, '2024-01-01 10:00:00', '2024-01-02 10:00:00', '2024-01-02 09:00:00'),
                 (2, 300, 42, 52, 32, 1, '2024-01-01 10:00:00', '2024-01-03 10:00:00', '2024-01-03 09:00:00'),
                 (3, 20, 42, 52, 32, 2, '2024-01-01 10:00:00', '2024-01-03 10:00:00', '2024-01-03 09:00:00'),
                 (4, 200, 41, 51, 31, 2, '2024-01-01 10:00:00', '2024-01-04 10:00:00', '2024-01-04 09:00:00');"
        ),
        &[&format!("1 {EMMA}"), &format!("1 {DUNE}"), &format!("2 {EMMA}")],
        Some(&[&format!("1 {EMMA}"), &format!("1 {DUNE}"), &format!("2 {EMMA}"), &format!("2 {DUNE}")]),
    );
}

#[test]
fn audiobookshelf() {
    let uuid = |n: u32| format!("{n:08}-0000-4000-8000-000000000000");
    let (ann, bob, emma, dune) = (uuid(1), uuid(2), uuid(31), uuid(32));
    cooked(
        "Audiobookshelf",
        &format!(
            "CREATE TABLE users (id UUID PRIMARY KEY, username VARCHAR(255), email VARCHAR(255));
             CREATE TABLE books (id UUID PRIMARY KEY, title VARCHAR(255), isbn VARCHAR(255), asin VARCHAR(255), publisher VARCHAR(255));
             CREATE TABLE mediaProgresses (id UUID PRIMARY KEY, mediaItemId UUID, mediaItemType VARCHAR(255), duration FLOAT,
                 currentTime FLOAT, isFinished TINYINT, finishedAt DATETIME, createdAt DATETIME, updatedAt DATETIME, userId UUID);
             INSERT INTO users VALUES ('{ann}', 'ann', NULL), ('{bob}', 'bob', NULL);
             INSERT INTO books VALUES ('{emma}', 'Emma', '{EMMA}', NULL, 'P'), ('{dune}', 'Dune', '{DUNE}', NULL, 'P');
             INSERT INTO mediaProgresses VALUES
                 ('{}', '{emma}', 'book', 9.5, 9.5, 1, '2024-01-01 10:00:00.000 +00:00', '2024-01-01 10:00:00.000 +00:00',
                  '2024-01-01 10:00:00.000 +00:00', '{ann}'),
                 ('{}', '{dune}', 'book', 9.5, 1.5, 0, NULL, '2024-01-01 10:00:00.000 +00:00', '2024-01-01 10:00:00.000 +00:00', '{ann}'),
                 ('{}', '{emma}', 'book', 9.5, 9.5, 1, '2024-01-02 10:00:00.000 +00:00', '2024-01-02 10:00:00.000 +00:00',
                  '2024-01-02 10:00:00.000 +00:00', '{bob}');",
            uuid(91),
            uuid(92),
            uuid(93)
        ),
        &[&format!("{ann} {EMMA}"), &format!("{bob} {EMMA}")],
        None,
    );
}

#[test]
fn django_oscar() {
    cooked(
        "django-oscar",
        &format!(
            "CREATE TABLE auth_user (id INTEGER PRIMARY KEY, username VARCHAR(150), email VARCHAR(254));
             CREATE TABLE catalogue_product (id INTEGER PRIMARY KEY, structure VARCHAR(10), upc VARCHAR(64), title VARCHAR(255));
             CREATE TABLE order_order (id INTEGER PRIMARY KEY, number VARCHAR(128), status VARCHAR(100), date_placed DATETIME,
                 user_id INTEGER REFERENCES auth_user (id));
             CREATE TABLE order_line (id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES order_order (id),
                 product_id INTEGER REFERENCES catalogue_product (id), title VARCHAR(255), quantity INTEGER, status VARCHAR(255));
             CREATE TABLE reviews_productreview (id INTEGER PRIMARY KEY, score SMALLINT, title VARCHAR(255), body TEXT,
                 date_created DATETIME, product_id INTEGER REFERENCES catalogue_product (id), user_id INTEGER REFERENCES auth_user (id));
             INSERT INTO auth_user VALUES (1, 'ann', ''), (2, 'bob', '');
             INSERT INTO catalogue_product VALUES (31, 'standalone', '{EMMA}', 'Emma'), (32, 'standalone', '{DUNE}', 'Dune');
             INSERT INTO order_order VALUES (1, '100001', 'Complete', '2024-01-01 10:00:00', 1),
                 (2, '100002', 'Complete', '2024-01-02 10:00:00', 2), (3, '100003', 'Cancelled', '2024-01-03 10:00:00', 2);
             INSERT INTO order_line VALUES (1, 1, 31, 'Emma', 1, ''), (2, 1, 32, 'Dune', 1, ''), (3, 2, 31, 'Emma', 1, ''),
                 (4, 3, 32, 'Dune', 1, '');
             INSERT INTO reviews_productreview VALUES (1, 5, 'Good', 'Very good', '2024-02-01 10:00:00', 31, 1);"
        ),
        &[&format!("1 {EMMA}"), &format!("1 {DUNE}"), &format!("2 {EMMA}")],
        None,
    );
}

#[test]
fn a_shop_in_rails() {
    cooked(
        "A shop in Rails",
        &format!(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, email varchar, encrypted_password varchar);
             CREATE TABLE products (id INTEGER PRIMARY KEY, title varchar, author varchar, isbn varchar, created_at datetime);
             CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id integer, state varchar, created_at datetime, updated_at datetime);
             CREATE TABLE line_items (id INTEGER PRIMARY KEY, order_id integer, product_id integer, quantity integer, created_at datetime);
             INSERT INTO users VALUES (1, 'a@example.org', 'x'), (2, 'b@example.org', 'x');
             INSERT INTO products VALUES (31, 'Emma', 'Jane Austen', '{EMMA}', '2023-01-01'), (32, 'Dune', 'Frank Herbert', '{DUNE}', '2023-01-01');
             INSERT INTO orders VALUES (1, 1, 'complete', '2024-01-01 10:00:00 UTC', NULL), (2, 2, 'complete', '2024-01-02 10:00:00 UTC', NULL),
                 (3, 2, 'canceled', '2024-01-03 10:00:00 UTC', NULL);
             INSERT INTO line_items VALUES (1, 1, 31, 1, '2024-01-01'), (2, 1, 32, 1, '2024-01-01'), (3, 2, 31, 1, '2024-01-02'),
                 (4, 3, 32, 1, '2024-01-03');"
        ),
        &[&format!("1 {EMMA}"), &format!("1 {DUNE}"), &format!("2 {EMMA}")],
        None,
    );
}

#[test]
fn biblioteq() {
    cooked(
        "BiblioteQ",
        &format!(
            "CREATE TABLE member (memberid VARCHAR(16) PRIMARY KEY, first_name VARCHAR(128), last_name VARCHAR(128), dob VARCHAR(32));
             CREATE TABLE book (myoid BIGINT UNIQUE, id VARCHAR(32) PRIMARY KEY, isbn13 VARCHAR(32), title TEXT, author TEXT, publisher TEXT);
             CREATE TABLE book_copy_info (item_oid BIGINT REFERENCES book (myoid), copyid VARCHAR(64), copy_number INTEGER, myoid INTEGER PRIMARY KEY);
             CREATE TABLE member_history (memberid VARCHAR(16) REFERENCES member (memberid), item_oid BIGINT, copyid VARCHAR(64),
                 reserved_date VARCHAR(32), duedate VARCHAR(32), returned_date VARCHAR(32), myoid INTEGER PRIMARY KEY,
                 reserved_by VARCHAR(128), type VARCHAR(16));
             INSERT INTO member VALUES ('M1', 'Ann', 'Ash', '01/01/1970'), ('M2', 'Bob', 'Birch', '01/01/1970');
             INSERT INTO book VALUES (901, '0306406152', '{EMMA}', 'Emma', 'Jane Austen', 'P'), (902, '080442957X', '{DUNE}', 'Dune', 'F', 'P');
             INSERT INTO book_copy_info VALUES (901, '0306406152-1', 1, 1), (901, '0306406152-2', 2, 2), (902, '080442957X-1', 1, 3);
             INSERT INTO member_history VALUES
                 ('M1', 901, '0306406152-1', '01/20/2024', '02/20/2024', '02/01/2024', 11, 'desk', 'Book'),
                 ('M2', 901, '0306406152-2', '01/21/2024', '02/21/2024', '02/01/2024', 12, 'desk', 'Book'),
                 ('M2', 902, '080442957X-1', '01/21/2024', '02/21/2024', '02/01/2024', 13, 'desk', 'Book');"
        ),
        &[&format!("M1 {EMMA}"), &format!("M2 {EMMA}"), &format!("M2 {DUNE}")],
        None,
    );
}

#[test]
fn koha() {
    let shop = Shop::empty();
    shop.sql("DROP TABLE ratings");
    let report = shop.folder.path().join("report.csv");
    let text = format!(
        "borrowernumber,isbn,title,author,issuedate\n7,{EMMA} (pbk.) | 0306406152,Emma /,\"Austen, Jane\",2024-01-02 10:00:00\n\
         8,{EMMA} (pbk.) | 0306406152,Emma /,\"Austen, Jane\",2024-02-03 10:00:00\n8,{DUNE} :,Dune,\"Herbert, Frank\",2024-03-04 10:00:00\n"
    );
    std::fs::write(&report, text).unwrap();
    shop.call(&["import", report.to_str().unwrap()]).ok();
    shop.night();
    assert_eq!(shop.one::<i64>("SELECT count(DISTINCT isbn13) FROM recommendations_popular"), 2);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM books"), 2);
}
