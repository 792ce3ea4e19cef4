//! A reader who is forgotten is gone from everything that we keep.

use rusqlite::ToSql;

use crate::common::{Shop, contents, isbn};

/// Ids as applications have them: a name, a SHA-256 in hex, quotes and escapes, a number.
const TEXTS: [&str; 4] = [
    "zenobia-4711",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "o'\"Brien\"\\; {x}, y",
    "Жан-Люк 本",
];

/// Whether these bytes stand anywhere in a file of the shop's folder.
fn anywhere(shop: &Shop, id: &str) -> Vec<String> {
    // As it stands, and as JSON writes it.
    let json = serde_json::to_string(id).unwrap();
    let forms = [id.as_bytes(), json.trim_matches('"').as_bytes()];
    let holds =
        |bytes: &[u8]| forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == *form));
    let files = contents(shop.folder.path()).into_iter().filter(|(_, bytes)| holds(bytes));
    files.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// A shop with a reader of that id: lists in both sets, models, rejected rows of the night and of an import.
fn shop_with(journal: &str, id: &(impl ToSql + Copy), text: &str) -> Shop {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.sql(&format!("PRAGMA journal_mode = {journal}"));
    for book in [3, 7, 11] {
        shop.add(*id, isbn(book), 9);
    }
    shop.add(*id, isbn(15), "no number");
    shop.add(61, isbn(16), "no number");
    shop.night();
    shop.night();
    // What an import keeps of a row that it could not use.
    let file = shop.folder.path().join("more.csv");
    let quoted = format!("\"{}\"", text.replace('"', "\"\""));
    std::fs::write(
        &file,
        format!("user_id,isbn,rating\n{quoted},{},great\n61,{},fine\n8,{},5\n", isbn(17), isbn(18), isbn(19)),
    )
    .unwrap();
    shop.call(&["import", file.to_str().unwrap()]).ok();
    std::fs::remove_file(file).unwrap();
    shop.backfill(&[]);
    shop
}

#[test]
fn nothing_is_left_of_a_forgotten_reader() {
    for journal in ["wal", "delete", "persist", "truncate"] {
        for id in TEXTS {
            let shop = shop_with(journal, &id, id);
            let rejected = "SELECT count(*) FROM nightshelf_rejects, json_each(examples) WHERE json_extract(value, '$.user') = ?1";
            let kept =
                |id: &dyn ToSql| shop.open().query_row(rejected, [id], |row| row.get::<_, i64>(0)).unwrap();
            assert!(kept(&id) >= 2, "of the night and of the import");
            let others =
                "SELECT * FROM recommendations WHERE user_id NOT IN (SELECT value FROM json_each(json_array";
            let others = format!("{others}('{}')))", id.replace('\'', "''"));
            let before = shop.rows(&others);

            // The application's own part first, as thoroughly.
            let application = shop.open();
            application.execute("DELETE FROM ratings WHERE user_id = ?1", [id]).unwrap();
            // It is open all the while, and reads now and then.
            let ran = shop.call(&["forget", "--user", id, "--json"]).ok();
            assert_eq!((&ran.json()["models"], &ran.json()["ratings_left"]), (&2.into(), &0.into()));
            assert_eq!(anywhere(&shop, id), Vec::<String>::new(), "{journal} {id}");
            assert_eq!(kept(&id), 0);
            assert_eq!(shop.rows(&others), before);
            shop.keeps_its_promises(10);
            // What is left is whole: it is read, it answers, it can be gone back to.
            shop.call(&["check"]).ok();
            shop.call(&["doctor"]).ok();
            shop.add(5, isbn(39), 9);
            assert_eq!(shop.backfill(&[])["metrics"]["changed_users"], 1);
            shop.call(&["rollback"]).ok();
            shop.call(&["forget", "--user", id]).failed(66, "nothing is kept");
            shop.call(&["forget", "--user", ""]).failed(2, "--user");
        }
    }
}

#[test]
fn a_short_number_takes_nobody_elses_examples_with_it() {
    let shop = shop_with("wal", &5, "5");
    // 5 stands in other rows, too: as a part of an id, as a rating, as a text.
    shop.add(15, isbn(5), "5 stars");
    shop.add("5", isbn(5), "bad");
    shop.add("5 cats", isbn(5), "bad");
    shop.add("x", isbn(5), "5/5");
    shop.night();
    let examples = "SELECT json_extract(value, '$.user') || '|' || typeof(json_extract(value, '$.user'))
                      FROM nightshelf_rejects, json_each(examples) ORDER BY 1";
    let before = shop.rows(examples);
    assert!(before.iter().any(|row| row == "5|integer") && before.len() > 5, "{before:?}");
    // Whoever writes a number means the number and the text: there is no way to tell which.
    shop.call(&["forget", "--user", "5"]).ok();
    let expected: Vec<String> =
        before.into_iter().filter(|row| row != "5|integer" && row != "5|text").collect();
    assert_eq!(shop.rows(examples), expected);
}

#[test]
fn a_log_that_somebody_reads_is_told() {
    let shop = shop_with("wal", &TEXTS[0], TEXTS[0]);
    let reader = shop.open();
    reader.execute_batch("BEGIN; SELECT count(*) FROM recommendations").unwrap();
    shop.sql("DELETE FROM ratings WHERE user_id = 'zenobia-4711'");
    let ran = shop.call(&["forget", "--user", TEXTS[0], "--json"]).ok();
    assert!(ran.stderr.contains("write-ahead log (-wal) could not be emptied"), "{}", ran.stderr);
    assert_eq!(ran.json()["log_truncated"], false);
    reader.execute_batch("COMMIT").unwrap();
    shop.call(&["forget", "--user", TEXTS[0]]).failed(66, "nothing is kept");
    assert_eq!(anywhere(&shop, TEXTS[0]), Vec::<String>::new());
}

#[test]
fn ratings_that_are_still_there_are_told() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    let ran = shop.call(&["forget", "--user", "7"]).ok();
    assert!(ran.stderr.contains("still has 8 ratings"), "{}", ran.stderr);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 7"), 0);
    // Again: nothing is kept of them, and the ratings are still there.
    let ran = shop.call(&["forget", "--user", "7"]).ok();
    assert!(ran.stderr.contains("still has 8 ratings"), "{}", ran.stderr);
    // Factors of the others still stand in their own rows.
    let names = shop.folder.path().join("names");
    std::fs::write(&names, "6\n8\n").unwrap();
    let lists = "SELECT user_id, rank, isbn FROM recommendations WHERE user_id IN (6, 8)";
    let before = shop.rows(lists);
    shop.backfill(&["--users", names.to_str().unwrap()]);
    assert_eq!(shop.rows(lists), before);
    assert_eq!(shop.backfill(&[])["metrics"]["new_users"], 1, "taken up again, as announced");
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 7"), 10);
    shop.call(&["forget", "--user", "-5"]).failed(66, "nothing is kept");
}

#[test]
fn no_id_is_kept_with_an_error() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    let names = shop.folder.path().join("names");
    std::fs::write(&names, TEXTS[1]).unwrap();
    let ran = shop.call(&["backfill", "--users", names.to_str().unwrap()]).failed(65, "have no ratings");
    assert!(ran.stderr.contains(TEXTS[1]), "whoever typed it is told: {}", ran.stderr);
    std::fs::remove_file(names).unwrap();
    assert_eq!(anywhere(&shop, TEXTS[1]), Vec::<String>::new());
}

#[test]
fn what_only_the_application_understands_stops_no_forgetting() {
    let shop = Shop::empty();
    shop.sql(
        "DROP TABLE ratings;
         CREATE TABLE marks (user_id TEXT COLLATE icu_root, isbn TEXT, rating, UNIQUE (user_id, isbn));
         CREATE VIEW ratings AS SELECT user_id, isbn, sortconcat(rating) AS rating FROM marks",
    );
    let mut connection = shop.open();
    let transaction = connection.transaction().unwrap();
    for reader in 0..40u64 {
        for book in 0..8 {
            let row =
                (format!("reader {reader}"), isbn(reader % 4 * 10 + book), ((book + reader) % 10 + 1) as i64);
            transaction.execute("INSERT INTO marks VALUES (?1, ?2, ?3)", row).unwrap();
        }
    }
    transaction.commit().unwrap();
    let of_table = [("NIGHTSHELF_TABLE", "marks")];
    shop.call_with(&["run"], &of_table).ok();
    shop.call_with(&["run", "--force"], &of_table).ok();
    shop.call_with(&["check"], &of_table).ok();
    shop.sql("DELETE FROM marks WHERE user_id = 'reader 12'");
    shop.call_with(&["backfill"], &of_table).ok();
    shop.call_with(&["rollback"], &of_table).ok();
    // The view is the source here, and its function is unknown: that is said, and stops nothing.
    let ran = shop.call(&["forget", "--user", "reader 12"]).ok();
    assert!(ran.stderr.contains("is unknown: ") && ran.stderr.contains("sortconcat"), "{}", ran.stderr);
    assert_eq!(anywhere(&shop, "reader 12"), Vec::<String>::new());
    let ran = shop.call_with(&["forget", "--user", "reader 13"], &of_table).ok();
    assert!(ran.stderr.contains("still has 8 ratings"), "{}", ran.stderr);
    let toml = shop.folder.path().join("n.toml");
    shop.call(&["init", "--out", toml.to_str().unwrap()]).ok();
    let doctor = shop.call_with(&["doctor"], &of_table).ok();
    assert!(doctor.stdout.contains("the others cannot be looked at here"), "{}", doctor.stdout);
}

#[test]
fn triggers_and_tables_of_the_applications_own_do_not_stand_in_the_way() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.add("zenobia-4711", isbn(3), 9);
    shop.night();
    shop.night();
    shop.sql(
        "CREATE TRIGGER tells AFTER DELETE ON recommendations BEGIN SELECT sortconcat(old.user_id); END;
         CREATE TRIGGER holds BEFORE DELETE ON recommendations BEGIN SELECT RAISE(IGNORE); END;
         DELETE FROM ratings WHERE user_id = 'zenobia-4711'",
    );
    shop.call(&["forget", "--user", TEXTS[0]]).ok();
    assert_eq!(anywhere(&shop, TEXTS[0]), Vec::<String>::new());
    // A table of that name that is not ours is not touched, and stops nothing.
    for columns in ["user_id, friend", "id, friend"] {
        let shop = Shop::with_tastes(60, 40, 8);
        shop.night();
        shop.sql(&format!("DROP TABLE recommendations; CREATE TABLE recommendations ({columns}); INSERT INTO recommendations VALUES (7, 8)"));
        shop.call(&["forget", "--user", "7"]).ok();
        assert_eq!(shop.rows("SELECT * FROM recommendations"), ["7|8"]);
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM nightshelf_readers WHERE user_id = 7"), 0);
    }
}
