//! Somebody else's table: ids of every kind, dirty rows, and names of one's own.

use crate::common::{Shop, isbn, nightshelf};

#[test]
fn ids_come_back_as_they_are() {
    let shop = Shop::with_tastes(20, 40, 8);
    let ids: [i64; 4] = [i64::MAX, i64::MIN, 9_007_199_254_740_993, -1];
    for (place, id) in ids.into_iter().enumerate() {
        shop.add(id, isbn(place as u64), 9);
    }
    for id in ["007", "7", "ann", "Ünïcode\u{1f4da}", "x'; DROP TABLE ratings; --"] {
        shop.add(id, isbn(3), 8);
    }
    shop.night();
    let expected = shop.rows("SELECT DISTINCT typeof(user_id), user_id FROM ratings ORDER BY user_id");
    let found = shop.rows("SELECT DISTINCT typeof(user_id), user_id FROM recommendations ORDER BY user_id");
    assert_eq!(expected, found);
    assert!(found.contains(&"text|7".to_owned()) && found.contains(&"integer|7".to_owned()));
}

#[test]
fn dirty_rows_are_counted_and_kept_as_examples() {
    let shop = Shop::with_tastes(50, 40, 8);
    shop.sql(
        "INSERT INTO ratings VALUES (NULL, '9780306406157', 5, NULL), (x'01', '9780306406157', 5, NULL),
           (1, NULL, 5, NULL), (1, '  ', 5, NULL), (1, x'00', 5, NULL),
           (1, '9780306406157', NULL, NULL), (1, '9780306406157', 'great', NULL),
           (1, '9780306406157', 'NaN', NULL), (1, '9780306406157', 9e999, NULL),
           (1, '9780306406157', x'07', NULL), (1, '9780306406157', 77, NULL), (1, '9780306406157', -4, NULL)",
    );
    let report = shop.night();
    assert_eq!(report["ratings"]["rejected"], 12);
    let kept =
        report["ratings"]["kept"].as_i64().unwrap() + report["ratings"]["duplicates"].as_i64().unwrap();
    assert_eq!(kept, 400);
    let rejects = shop.rows("SELECT reason, count FROM nightshelf_rejects WHERE run_id = 1 ORDER BY reason");
    assert_eq!(
        rejects,
        [
            "isbn_is_blob|1",
            "missing_isbn|2",
            "missing_rating|1",
            "missing_user|1",
            "rating_is_blob|1",
            "rating_not_a_number|1",
            "rating_not_finite|2",
            "rating_off_scale|2",
            "user_is_blob|1",
        ]
    );
    let example: String =
        shop.one("SELECT examples FROM nightshelf_rejects WHERE reason = 'rating_not_a_number'");
    assert!(example.contains("great"), "{example}");
    shop.keeps_its_promises(10);
}

#[test]
fn numeric_text_and_integer_isbns_are_understood() {
    let shop = Shop::with_tastes(30, 40, 8);
    shop.add(500, 306_406_152_i64, "7.5");
    shop.add(501, "0-306-40615-2", " 8 ");
    shop.add(502, 9_780_306_406_157_i64, 9.0);
    let report = shop.night();
    assert_eq!(report["ratings"]["repaired"], 1);
    assert_eq!(report["ratings"]["rejected"], 0);
    let users: i64 = shop.one("SELECT count(DISTINCT user_id) FROM recommendations WHERE user_id >= 500");
    assert_eq!(users, 3);
    let again: i64 =
        shop.one("SELECT count(*) FROM recommendations WHERE user_id >= 500 AND isbn13 = '9780306406157'");
    assert_eq!(again, 0, "three spellings of one book, all rated");
}

#[test]
fn the_newest_of_several_ratings_counts() {
    // What counts is seen in the digest of the input: the same as if the other rows were not there.
    let digest = |rows: &[(i64, &str)]| -> String {
        let shop = Shop::with_tastes(10, 40, 5);
        for (rating, at) in rows {
            let sql = "INSERT INTO ratings VALUES (1000, ?1, ?2, ?3)";
            shop.open().execute(sql, (isbn(1), rating, at)).unwrap();
        }
        shop.night();
        shop.one("SELECT input_digest FROM nightshelf_runs")
    };
    let (ten, one) = (digest(&[(10, "2020-01-01")]), digest(&[(1, "2020-01-01")]));
    assert_ne!(ten, one);
    assert_eq!(digest(&[(10, "2026-03-01 10:00:00"), (1, "2025-03-01T09:00:00Z")]), ten);
    assert_eq!(digest(&[(10, "2024-01-01"), (1, "2025-03-01T09:00:00Z")]), one);
    assert_eq!(digest(&[(1, "2025-03-01T12:00:00+05:00"), (10, "2025-03-01T08:00:00Z"), (1, "")]), ten);
    assert_eq!(digest(&[(10, ""), (1, "")]), one, "without a time the later row counts");
}

#[test]
fn an_index_that_covers_the_table_changes_nothing() {
    let shop = Shop::with_tastes(40, 40, 10);
    for rating in [1, 10, 2, 9, 3] {
        shop.add(1000, isbn(1), rating);
    }
    shop.night();
    let before = shop.rows("SELECT user_id, rank, isbn, predicted_rating FROM recommendations");
    shop.sql("CREATE INDEX covering ON ratings (isbn, rating DESC, user_id, rated_at); ANALYZE");
    shop.night();
    assert_eq!(shop.rows("SELECT user_id, rank, isbn, predicted_rating FROM recommendations"), before);
}

#[test]
fn zeros_are_reading_and_not_a_bad_mark() {
    let shop = Shop::with_tastes(60, 40, 10);
    let with_zeros = shop.night();
    let rated: i64 = shop.one("SELECT count(*) FROM ratings WHERE rating = 0");
    assert!(rated > 50);
    assert_eq!(with_zeros["ratings"]["rejected"], 0);
    let lowest: f64 = shop.one("SELECT min(predicted_rating) FROM recommendations");
    assert!(lowest >= 1.0, "the scale begins at 1: {lowest}");
}

#[test]
fn tables_and_columns_may_have_names_of_their_own() {
    let shop = Shop::with_tastes(50, 40, 8);
    shop.sql(
        "ALTER TABLE ratings RENAME TO \"book \"\"reviews\"\"\";
         ALTER TABLE \"book \"\"reviews\"\"\" RENAME COLUMN user_id TO \"the reader\";
         ALTER TABLE \"book \"\"reviews\"\"\" RENAME COLUMN isbn TO \"order\"",
    );
    let config = shop.folder.path().join("night.toml");
    std::fs::write(
        &config,
        "[source]\ntable = 'book \"reviews\"'\nuser = 'the reader'\nisbn = 'ORDER'\nrating = 'rating'\n",
    )
    .unwrap();
    let report = shop.call(&["run", "--json", "--config", config.to_str().unwrap()]).ok().json();
    assert_eq!(report["users"], 50);

    // A query, for everything else; a view that a rowid does not order.
    std::fs::write(
        &config,
        "[source]\nquery = '''SELECT \"the reader\", \"order\", rating FROM \"book \"\"reviews\"\"\" WHERE rating <> 3'''\n",
    )
    .unwrap();
    let filtered = shop.call(&["run", "--json", "--config", config.to_str().unwrap()]).ok().json();
    let threes: i64 = shop.one("SELECT count(*) FROM \"book \"\"reviews\"\"\" WHERE rating = 3");
    assert_eq!(
        filtered["ratings"]["read"].as_i64().unwrap() + threes,
        report["ratings"]["read"].as_i64().unwrap()
    );

    std::fs::write(&config, "[source]\nquery = 'DELETE FROM \"book \"\"reviews\"\"\" RETURNING 1, 2, 3'\n")
        .unwrap();
    shop.call(&["run", "--config", config.to_str().unwrap()]).failed(78, "not a SELECT");
    assert!(shop.one::<i64>("SELECT count(*) FROM \"book \"\"reviews\"\"\"") > 0);
}

#[test]
fn loans_without_any_rating_are_enough() {
    let shop = Shop::with_tastes(50, 40, 8);
    shop.sql("CREATE TABLE loans AS SELECT user_id, isbn FROM ratings");
    let config = shop.folder.path().join("night.toml");
    std::fs::write(&config, "[source]\ntable = 'loans'\nrating = ''\n").unwrap();
    shop.call(&["run", "--config", config.to_str().unwrap()]).ok();
    assert_eq!(shop.one::<i64>("SELECT count(predicted_rating) FROM recommendations"), 0);
    shop.keeps_its_promises(10);
}

#[test]
fn what_is_missing_is_named() {
    let shop = Shop::with_tastes(20, 40, 8);
    shop.sql("ALTER TABLE ratings RENAME COLUMN isbn TO isbn_13");
    shop.call(&["run"]).failed(78, "no column isbn").failed_hint("isbn_13");
    shop.sql("ALTER TABLE ratings RENAME TO rating");
    shop.call(&["run"]).failed(78, "no table ratings").failed_hint("table = \"rating\"");
    shop.sql("DROP TABLE rating");
    shop.call(&["run"]).failed(78, "no table ratings");

    let empty = Shop::empty();
    empty.call(&["run"]).failed(65, "empty");
    empty.add(1, "9780306406157", "n/a");
    empty.call(&["run"]).failed(65, "rating_not_a_number 1");
    assert_eq!(empty.one::<String>("SELECT group_concat(status) FROM nightshelf_runs"), "failed,failed");

    let nowhere = empty.folder.path().join("nowhere.db");
    let output: crate::common::Ran =
        nightshelf().args(["run", "--db"]).arg(&nowhere).output().unwrap().into();
    output.failed(66, "no database file");
    assert!(!nowhere.exists());
    std::fs::write(
        &nowhere,
        "this is a letter to my aunt, and certainly not a database of any kind\n".repeat(20),
    )
    .unwrap();
    let output: crate::common::Ran =
        nightshelf().args(["run", "--db"]).arg(&nowhere).output().unwrap().into();
    output.failed(66, "not a database");
}

#[test]
fn catalogues_of_other_things_have_text_keys() {
    let shop = Shop::with_tastes(40, 40, 8);
    shop.sql("UPDATE ratings SET isbn = 'Film-' || substr(isbn, 9)");
    let report = shop.call(&["run", "--json", "--key", "text"]).ok().json();
    assert_eq!(report["ratings"]["opaque"], 0);
    assert_eq!(shop.one::<i64>("SELECT count(isbn13) FROM recommendations"), 0);
    shop.keeps_its_promises(10);

    let dropped = shop.call_with(&["run"], &[("NIGHTSHELF_INVALID", "drop")]);
    dropped.failed(65, "not_an_isbn");
}

impl crate::common::Ran {
    #[track_caller]
    fn failed_hint(self, words: &str) -> Self {
        let hint =
            self.stderr.split("what to do:").nth(1).unwrap_or_else(|| panic!("no hint in {}", self.stderr));
        assert!(hint.contains(words), "{words:?} is not in the hint {hint:?}");
        self
    }
}
