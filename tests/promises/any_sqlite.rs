//! Any SQLite from 3.8.2 on reads what we write, also where an earlier nightshelf wrote otherwise.

use crate::common::{Shop, isbn};

/// What an earlier version made: STRICT tables, and examples as texts.
fn of_an_earlier_version() -> Shop {
    let shop = Shop::with_tastes(40, 40, 8);
    shop.add(50, isbn(1), "no number");
    shop.night();
    shop.night();
    let strict = |table: &str, columns: &str, options: &str| {
        let kept = if table.ends_with("readers") { "user_id, digest" } else { "*" };
        format!(
            "CREATE TABLE strict_one ({columns}) STRICT{options}; INSERT INTO strict_one SELECT {kept} FROM {table};
             DROP TABLE {table}; ALTER TABLE strict_one RENAME TO {table};"
        )
    };
    let lists = "user_id          ANY NOT NULL, -- as in the ratings
                 rank INTEGER NOT NULL, isbn TEXT NOT NULL, isbn13 TEXT, score REAL NOT NULL, predicted_rating REAL,
                 source TEXT NOT NULL, because TEXT, run_id INTEGER NOT NULL, PRIMARY KEY (user_id, rank)";
    let popular = "rank INTEGER PRIMARY KEY, isbn TEXT NOT NULL, isbn13 TEXT, score REAL NOT NULL, run_id INTEGER NOT NULL";
    let readers = "user_id ANY PRIMARY KEY, digest INTEGER NOT NULL";
    let slot: String = shop.one("SELECT value FROM nightshelf_meta WHERE key = 'previous_slot'");
    for prefix in ["", &format!("nightshelf_{slot}_")] {
        shop.sql(&strict(&format!("{prefix}recommendations"), lists, ", WITHOUT ROWID"));
        shop.sql(&strict(&format!("{prefix}recommendations_popular"), popular, ""));
        shop.sql(&strict(&format!("{prefix}nightshelf_readers"), readers, ", WITHOUT ROWID"));
        // It had no such tables.
        shop.sql(&format!(
            "DROP TABLE {prefix}recommendations_similar; DROP TABLE {prefix}recommendations_popular_by;"
        ));
    }
    shop.sql("DELETE FROM nightshelf_meta WHERE key = 'previous_rows'");
    shop.sql(&strict("nightshelf_meta", "key TEXT PRIMARY KEY, value TEXT NOT NULL", ", WITHOUT ROWID"));
    let rejects = "reject_id INTEGER PRIMARY KEY, run_id INTEGER, origin TEXT NOT NULL, reason TEXT NOT NULL, \
                   count INTEGER NOT NULL, examples TEXT NOT NULL";
    shop.sql(&strict("nightshelf_rejects", rejects, ""));
    let runs = shop.one::<String>("SELECT sql FROM sqlite_schema WHERE name = 'nightshelf_runs'");
    let runs = runs[runs.find('(').unwrap() + 1..runs.rfind(')').unwrap()].to_owned();
    shop.sql(&strict("nightshelf_runs", &runs, ""));
    shop.sql(
        "UPDATE nightshelf_rejects SET examples = '[\"50, \\\"9781000000016\\\", \\\"no number\\\"]';
         INSERT INTO nightshelf_runs (run_id, kind, status, started_at, version) VALUES (9, 'nightly', 'failed', '', '');
         DELETE FROM nightshelf_runs WHERE run_id = 9;
         CREATE VIEW diary AS SELECT run_id, status FROM nightshelf_runs;
         CREATE TABLE authors (name TEXT);
         CREATE INDEX by_name ON authors (name COLLATE icu_root)",
    );
    shop.sql("UPDATE nightshelf_runs SET error = '1 of 2 readers have no ratings, such as \"zenobia\"' WHERE run_id = 1");
    assert!(shop.one::<i64>("SELECT count(*) FROM pragma_table_list WHERE strict") >= 8);
    shop
}

#[test]
fn strict_tables_of_an_earlier_version_are_changed_over_by_the_first_run() {
    for journal in ["wal", "delete"] {
        let shop = of_an_earlier_version();
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        let before = shop.rows("SELECT user_id, rank, isbn FROM recommendations");
        // Nothing has changed but that; and it takes a night.
        let report = shop.call(&["run", "--json"]).ok().json();
        assert_eq!((&report["status"], &report["run_id"]), (&"published".into(), &10.into()));
        assert_eq!(shop.rows("SELECT name FROM pragma_table_list WHERE strict"), Vec::<String>::new());
        assert_eq!(
            shop.rows("SELECT sql FROM sqlite_schema WHERE sql LIKE '% ANY %' OR sql LIKE '%STRICT%'"),
            Vec::<String>::new()
        );
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM diary"), 3);
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM nightshelf_runs WHERE error LIKE '%zenobia%'"), 0);
        shop.keeps_its_promises(10);
        shop.call(&["rollback"]).ok();
        assert_eq!(shop.rows("SELECT user_id, rank, isbn FROM recommendations"), before);
        shop.night();
        shop.call(&["check"]).ok();
    }
}

#[test]
fn tables_of_ours_are_made_of_what_every_sqlite_knows() {
    let shop = Shop::with_tastes(40, 40, 8);
    shop.add("007", isbn(3), 9);
    shop.night();
    shop.night();
    let file = shop.folder.path().join("r.csv");
    std::fs::write(&file, "user_id,isbn,rating\nx,9780306406157,4\n").unwrap();
    shop.call(&["import", file.to_str().unwrap()]).ok();
    shop.call(&["tune", "--trials", "1", "--out", shop.folder.path().join("t.toml").to_str().unwrap()]).ok();
    let ours = shop.rows(
        "SELECT sql FROM sqlite_schema WHERE name LIKE '%nightshelf%' OR name LIKE '%recommendations%'",
    );
    assert!(ours.len() >= 10, "{ours:?}");
    // Newer than 3.8.2: STRICT (3.37), generated columns (3.31), expressions in indexes (3.9).
    for newer in ["STRICT", "GENERATED", " AS (", "ANY"] {
        assert!(ours.iter().all(|sql| !sql.contains(newer)), "{newer}: {ours:?}");
    }
    assert_eq!(
        shop.rows("SELECT DISTINCT typeof(user_id), user_id FROM recommendations WHERE user_id = '007'"),
        ["text|007"]
    );
}
