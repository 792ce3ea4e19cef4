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

#[test]
fn an_isbn_in_its_clothes_is_one_book_and_what_names_none_is_in_no_list() {
    let shop = Shop::with_tastes(30, 40, 8);
    let others: i64 = shop.one("SELECT count(DISTINCT isbn) FROM ratings");
    for (reader, spelling) in [
        "=\"9780306406157\"",
        "[0306406152]",
        "9780306406157.0",
        "0306406152 (pbk.)",
        "9780306406157 (hbk.) : £8.99",
        "0306406152 | 9780306406157",
        "urn:isbn:9780306406157",
        "ISBN(13): 9780306406157",
        "9.780306406157E+12",
        "9.78030640615E+12",
        "9780306406157 51299",
    ]
    .into_iter()
    .enumerate()
    {
        shop.add(100 + reader as i64, spelling, 9);
    }
    for (reader, nothing) in
        ["N/A", "none", "0", "1111111111", "9.78119E+12", "9.78119E+12"].into_iter().enumerate()
    {
        shop.add(200 + reader as i64, nothing, 9);
    }
    let report = shop.night();
    assert_eq!(
        (report["items"].as_i64(), report["ratings"]["rejected"].as_i64()),
        (Some(others + 1), Some(6)),
        "{report}"
    );
    assert_eq!(
        shop.rows("SELECT reason, count FROM nightshelf_rejects WHERE run_id = 1 ORDER BY 1"),
        ["placeholder|4", "scientific_notation|2"]
    );
    assert_eq!(
        shop.one::<i64>("SELECT count(*) FROM recommendations_popular WHERE isbn13 = '9780306406157'"),
        1
    );
    shop.keeps_its_promises(10);
}

#[test]
fn own_numbers_stay_own_although_some_look_like_isbns() {
    let shop = Shop::empty();
    for n in 0..400u64 {
        shop.add((n % 20) as i64, (9_619_600 + n * n % 61).to_string(), (n % 5 + 1) as i64);
    }
    shop.night();
    assert_eq!(shop.one::<i64>("SELECT count(isbn13) FROM recommendations"), 0);
    shop.keeps_its_promises(10);
}

#[test]
fn times_count_in_every_form_and_those_that_do_not_are_told() {
    let shop = Shop::with_tastes(30, 40, 8);
    let before = shop.night()["ratings"]["duplicates"].as_i64().unwrap();
    let newer_first = |reader: i64, newer: &str, older: &str| {
        shop.sql(&format!(
            "INSERT INTO ratings VALUES ({reader}, '9780306406157', 5, '{newer}'), ({reader}, '0306406152', 1, '{older}')"
        ));
    };
    newer_first(301, "2024-06-01 10:00:00.000 +00:00", "2019-01-01 10:00:00.000 +00:00");
    newer_first(302, "2024/06/01", "2019/01/01");
    newer_first(303, "01.06.2024", "15.01.2019");
    newer_first(304, "Sat, 01 Jun 2024 10:00:00 GMT", "Tue, 01 Jan 2019 10:00:00 GMT");
    let told = shop.call(&["run", "--json", "--force"]).ok();
    assert_eq!(told.json()["ratings"]["duplicates"].as_i64(), Some(before + 4));
    assert!(!told.stderr.contains("cannot be read"), "{}", told.stderr);
    let read = shop.call(&["predict", "--user", "303", "--isbn", "9780306406157", "--json"]).ok().json();
    assert_eq!(read["rated"].as_f64(), Some(5.0), "{read}");
    shop.sql("UPDATE ratings SET rated_at = 'soon' WHERE user_id = 301; UPDATE ratings SET rated_at = '03/04/2024' WHERE user_id = 302");
    let said = shop.call(&["run", "--force"]).ok().stderr;
    assert!(said.contains("2 times cannot be read") && said.contains("\"soon\""), "{said}");
    assert!(said.contains("2 times count as unknown") && said.contains("dates = \"day-first\""), "{said}");
    let said = shop.call_with(&["run", "--force"], &[("NIGHTSHELF_DATES", "day-first")]).ok().stderr;
    assert!(!said.contains("count as unknown, such as \"03"), "{said}");
}
