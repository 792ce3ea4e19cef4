//! Whatever shape a user or an ORM has given to `recommendations`, it is served, or refused in words.

use rusqlite::Connection;

use crate::common::{Shop, isbn};

/// What tools make of a model with our columns, and what people write by hand.
const SHAPES: [(&str, &str); 12] = [
    (
        "Django, CompositePrimaryKey",
        r#"CREATE TABLE "recommendations" ("user_id" integer NOT NULL,
             "rank" integer unsigned NOT NULL CHECK ("rank" >= 0), "isbn" varchar(20) NOT NULL, "isbn13" varchar(13) NULL,
             "score" real NOT NULL, "predicted_rating" real NULL, "source" varchar(10) NOT NULL,
             "because" varchar(20) NULL, "run_id" bigint NOT NULL, PRIMARY KEY ("user_id", "rank"));
           CREATE INDEX "recommendations_isbn_0a6c1f" ON "recommendations" ("isbn");"#,
    ),
    (
        "Django, UniqueConstraint",
        r#"CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT);
           CREATE TABLE "recommendations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
             "rank" integer NOT NULL, "isbn" varchar(20) NOT NULL, "isbn13" varchar(13) NULL, "score" real NOT NULL,
             "predicted_rating" real NULL, "source" varchar(10) NOT NULL, "because" varchar(20) NULL,
             "run_id" bigint NOT NULL,
             "user_id" integer NOT NULL,
             CONSTRAINT "one_a_rank" UNIQUE ("user_id", "rank"));
           CREATE INDEX "recommendations_user_id_77" ON "recommendations" ("user_id");"#,
    ),
    (
        "SQLAlchemy",
        "CREATE TABLE recommendations (
           user_id INTEGER NOT NULL,
           rank INTEGER NOT NULL,
           isbn VARCHAR NOT NULL, isbn13 VARCHAR, score FLOAT NOT NULL, predicted_rating FLOAT,
           source VARCHAR(8) NOT NULL, because VARCHAR, run_id INTEGER NOT NULL,
           PRIMARY KEY (user_id, rank),
           CONSTRAINT uq_reader_book UNIQUE (user_id, isbn)
         );
         CREATE INDEX ix_recommendations_isbn ON recommendations (isbn);",
    ),
    (
        "Prisma",
        r#"CREATE TABLE "recommendations" (
             "user_id" INTEGER NOT NULL, "rank" INTEGER NOT NULL, "isbn" TEXT NOT NULL, "isbn13" TEXT,
             "score" REAL NOT NULL, "predicted_rating" REAL, "source" TEXT NOT NULL, "because" TEXT,
             "run_id" INTEGER NOT NULL,
             PRIMARY KEY ("user_id", "rank")
           );
           CREATE UNIQUE INDEX "recommendations_user_id_isbn_key" ON "recommendations"("user_id", "isbn");"#,
    ),
    (
        "ActiveRecord",
        r#"CREATE TABLE "recommendations" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "user_id" integer NOT NULL,
             "rank" integer NOT NULL, "isbn" varchar NOT NULL, "isbn13" varchar, "score" float NOT NULL,
             "predicted_rating" float, "source" varchar NOT NULL, "because" varchar, "run_id" bigint NOT NULL,
             "created_at" datetime(6) DEFAULT CURRENT_TIMESTAMP NOT NULL);
           CREATE UNIQUE INDEX "index_recommendations_on_user_id_and_rank" ON "recommendations" ("user_id", "rank");"#,
    ),
    (
        "a UNIQUE and no primary key",
        "CREATE TABLE recommendations (user_id, rank INT UNIQUE ON CONFLICT REPLACE CHECK (rank > 0), isbn TEXT,
           isbn13 TEXT, score REAL, predicted_rating REAL, source TEXT, because TEXT, run_id INTEGER,
           UNIQUE (user_id, rank), UNIQUE (rank, user_id));",
    ),
    (
        "generated and extra columns",
        "CREATE TABLE recommendations (note TEXT DEFAULT 'new', user_id NOT NULL, rank INTEGER, isbn TEXT, isbn13 TEXT,
           score REAL, predicted_rating REAL, source TEXT, because TEXT, run_id INTEGER,
           shown TEXT AS (isbn || '/' || rank), half REAL GENERATED ALWAYS AS (score / 2) STORED,
           PRIMARY KEY (user_id, rank DESC)) WITHOUT ROWID;
         CREATE INDEX by_half ON recommendations (half) WHERE rank = 1;",
    ),
    (
        "indexes of each kind",
        "CREATE TABLE [recommendations] (user_id, rank INTEGER, isbn TEXT COLLATE NOCASE, isbn13 TEXT, score REAL,
           predicted_rating REAL, source TEXT, because TEXT, run_id INTEGER, PRIMARY KEY (rank, user_id));
         CREATE INDEX \"by what?\" ON recommendations (lower(isbn), -rank);
         CREATE UNIQUE INDEX 'once' ON \"recommendations\" /* a list */ (user_id, isbn COLLATE BINARY) WHERE rank < 5;
         CREATE INDEX [some] ON recommendations (source) WHERE source <> 'model' AND because IS NOT NULL;",
    ),
    (
        "triggers of each kind",
        "CREATE TABLE recommendations (user_id, rank INTEGER, isbn TEXT, isbn13 TEXT, score REAL,
           predicted_rating REAL, source TEXT, because TEXT, run_id INTEGER, PRIMARY KEY (user_id, rank));
         CREATE TABLE seen (what);
         CREATE VIEW firsts AS SELECT user_id, isbn FROM recommendations WHERE rank = 1;
         CREATE TRIGGER before_i BEFORE INSERT ON recommendations BEGIN SELECT 1; END;
         CREATE TRIGGER \"after d\" AFTER DELETE ON recommendations BEGIN INSERT INTO seen VALUES (old.rank); END;
         CREATE TRIGGER of_columns AFTER UPDATE OF isbn, rank ON \"recommendations\" FOR EACH ROW WHEN new.rank > 1
           BEGIN UPDATE recommendations SET because = NULL WHERE user_id = new.user_id AND rank = new.rank; END;
         CREATE TRIGGER instead INSTEAD OF DELETE ON firsts
           BEGIN DELETE FROM recommendations WHERE user_id = old.user_id; END;
         CREATE TRIGGER elsewhere AFTER DELETE ON seen BEGIN DELETE FROM recommendations WHERE user_id IS NULL; END;",
    ),
    (
        "views, broken and whole, and children",
        "CREATE TABLE recommendations (user_id, rank INTEGER, isbn TEXT, isbn13 TEXT, score REAL,
           predicted_rating REAL, source TEXT, because TEXT, run_id INTEGER, PRIMARY KEY (user_id, rank));
         CREATE VIEW broken AS SELECT no_column FROM nowhere;
         CREATE VIEW half_broken AS SELECT no_such_column FROM recommendations;
         CREATE VIEW best AS SELECT recommendations.isbn FROM recommendations WHERE recommendations.rank = 1;
         CREATE TABLE clicks (user_id, rank, FOREIGN KEY (user_id, rank) REFERENCES recommendations (user_id, rank));",
    ),
    (
        "a STRICT table of the user's own",
        "CREATE TABLE recommendations (user_id INTEGER, rank INTEGER, isbn TEXT, isbn13 TEXT, score REAL,
           predicted_rating REAL, source TEXT, because TEXT, run_id INTEGER, PRIMARY KEY (user_id, rank)) STRICT;",
    ),
    (
        "other tables that only the application understands",
        "CREATE TABLE recommendations (user_id, rank INTEGER, isbn TEXT, isbn13 TEXT, score REAL,
           predicted_rating REAL, source TEXT, because TEXT, run_id INTEGER, PRIMARY KEY (user_id, rank));
         CREATE TABLE authors (name TEXT COLLATE icu_root UNIQUE, sort AS (sortconcat(name)));
         CREATE INDEX by_name ON authors (name COLLATE icu_root, sortconcat(name));
         CREATE INDEX by_sort ON authors (name) WHERE sortconcat(name) > 'm';
         CREATE VIEW meta AS SELECT sortconcat(name) FROM authors;
         CREATE VIRTUAL TABLE words USING fts5(title, tokenize = 'porter');",
    ),
];

/// A shop of 40 readers whose application has made a table in its own way.
fn shop(journal: &str, schema: &str) -> Shop {
    let shop = Shop::with_tastes(40, 40, 8);
    shop.sql(&format!("PRAGMA journal_mode = {journal}"));
    shop.sql(schema);
    shop
}

/// All that belongs to the table, but for the names of indexes, which alternate, and the quotes of its own.
fn belongings(shop: &Shop) -> Vec<String> {
    let rows = shop.rows(
        "SELECT type, iif(type = 'index', '', name), sql FROM sqlite_schema
          WHERE name NOT LIKE 'nightshelf%' AND tbl_name NOT LIKE 'nightshelf%' AND sql IS NOT NULL
            AND name NOT LIKE 'recommendations_%' AND name <> 'sqlite_sequence' OR tbl_name = 'recommendations'",
    );
    let after_names = |row: &String| match row.split_once('(') {
        Some((before, rest)) if before.contains("index") => format!("index ({rest}"),
        Some((_, rest)) if row.contains("|recommendations|") => format!("recommendations ({rest}"),
        _ => row.clone(),
    };
    let mut rows: Vec<String> = rows.iter().map(after_names).collect();
    rows.sort();
    rows
}

/// The table, its indexes and what a connection of the application sees through them agree.
#[track_caller]
fn is_whole(shop: &Shop, application: &Connection, what: &str) {
    assert_eq!(
        application.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(),
        "ok",
        "{what}"
    );
    let by_scan: Vec<String> =
        shop.rows("SELECT user_id, rank, isbn FROM recommendations ORDER BY +user_id, +rank");
    let mut by_key = Vec::new();
    let mut one = application
        .prepare_cached("SELECT user_id, rank, isbn FROM recommendations WHERE user_id = ?1 ORDER BY rank")
        .unwrap();
    for user in 0..40 {
        let rows = one.query_map([user], |row| {
            Ok(format!("{}|{}|{}", row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        });
        by_key.extend(rows.unwrap().map(Result::unwrap));
    }
    assert_eq!(by_key.len(), 400, "{what}");
    assert_eq!(by_key, by_scan, "{what}");
    shop.keeps_its_promises(10);
}

#[test]
fn every_shape_is_served_through_nights_backfills_and_rollbacks_in_wal() {
    every_shape_is_served("wal");
}

#[test]
fn every_shape_is_served_through_nights_backfills_and_rollbacks_in_a_rollback_journal() {
    every_shape_is_served("delete");
}

fn every_shape_is_served(journal: &str) {
    for (what, schema) in SHAPES {
        // A rank that is UNIQUE by itself replaces rows: that one is refused.
        let refused = schema.contains("rank INT UNIQUE");
        let shop = shop(journal, schema);
        if refused {
            shop.call(&["run"]).failed(78, "cannot take tonight's rows");
            continue;
        }
        let before = belongings(&shop);
        // Connections of the application that live through all of it.
        let application = shop.open();
        application
                .execute_batch(
                    "CREATE TEMP VIEW mine AS SELECT isbn FROM recommendations WHERE rank = 1;
                     CREATE TEMP TABLE heard (what);
                     CREATE TEMP TRIGGER hears AFTER UPDATE ON main.recommendations BEGIN INSERT INTO heard VALUES (1); END",
                )
                .unwrap();
        for night in 1..=5 {
            let run = shop.night()["run_id"].as_i64().unwrap();
            is_whole(&shop, &application, what);
            assert_eq!(shop.one::<i64>("SELECT min(run_id) FROM recommendations"), run, "{what}");
            assert_eq!(belongings(&shop), before, "{what}, night {night}");
            assert_eq!(
                application.query_row("SELECT count(*) FROM mine", [], |row| row.get::<_, i64>(0)).unwrap(),
                40
            );
            shop.add(night % 40, isbn(60 + night as u64), 9);
            assert_eq!(shop.backfill(&[])["status"], "published", "{what}");
            is_whole(&shop, &application, what);
            if night > 1 {
                let lists = shop
                    .rows("SELECT user_id, rank, isbn, run_id FROM recommendations ORDER BY user_id, rank");
                shop.call(&["rollback"]).ok();
                is_whole(&shop, &application, what);
                assert_eq!(belongings(&shop), before, "{what}, rollback {night}");
                shop.call(&["rollback"]).ok();
                assert_eq!(
                    shop.rows(
                        "SELECT user_id, rank, isbn, run_id FROM recommendations ORDER BY user_id, rank"
                    ),
                    lists,
                    "{what}"
                );
            }
            application
                .execute_batch("UPDATE recommendations SET isbn = isbn WHERE user_id = 3 AND rank = 1")
                .unwrap();
        }
        assert_eq!(
            application.query_row("SELECT count(*) FROM heard", [], |row| row.get::<_, i64>(0)).unwrap(),
            5
        );
        shop.call(&["check"]).ok();
        assert_eq!(shop.one::<String>("PRAGMA journal_mode"), journal);
    }
}

#[test]
fn an_index_bears_its_users_name_every_second_night() {
    let shop = shop("wal", SHAPES[3].1);
    let name = || {
        shop.one::<i64>(
        "SELECT count(*) FROM sqlite_schema WHERE tbl_name = 'recommendations' AND name = 'recommendations_user_id_isbn_key'",
    )
    };
    let seen: Vec<i64> = (0..6)
        .map(|_| {
            shop.night();
            name()
        })
        .collect();
    assert!(seen.windows(2).all(|two| two.contains(&1)), "{seen:?}");
}

#[test]
fn what_cannot_be_served_is_refused_before_anything_is_trained() {
    let ours =
        "user_id, rank INTEGER, isbn TEXT, isbn13 TEXT, score REAL, predicted_rating REAL, source TEXT,
                because TEXT, run_id INTEGER";
    let key = "PRIMARY KEY (user_id, rank)";
    for (what, schema, words) in [
        (
            "a CHECK that names the table",
            format!("CREATE TABLE recommendations ({ours}, {key}, CHECK (recommendations.rank > 0))"),
            "with the column alone: CREATE TABLE recommendations (user_id",
        ),
        (
            "an index that does",
            format!(
                "CREATE TABLE recommendations ({ours}, {key});
          CREATE INDEX firsts ON recommendations (isbn) WHERE \"recommendations\".rank = 1"
            ),
            "WHERE rank = 1",
        ),
        (
            "a column that must be filled",
            format!("CREATE TABLE recommendations ({ours}, note TEXT NOT NULL, {key})"),
            "recommendations.note",
        ),
        (
            "ids become numbers",
            format!(
                "CREATE TABLE recommendations (id INTEGER PRIMARY KEY, {})",
                ours.replace("user_id,", "user_id INTEGER,")
            ),
            "column user_id turns some into others",
        ),
        (
            "ids become texts",
            format!(
                "CREATE TABLE recommendations (id INTEGER PRIMARY KEY, {})",
                ours.replace("user_id,", "user_id TEXT,")
            ),
            "column user_id turns some into others",
        ),
        (
            "ids that are one without case",
            format!(
                "CREATE TABLE recommendations ({}, {key})",
                ours.replace("user_id,", "user_id COLLATE NOCASE,")
            ),
            "UNIQUE constraint failed: recommendations.user_id",
        ),
        (
            "a book for one reader only",
            format!("CREATE TABLE recommendations ({ours}, {key}, UNIQUE (isbn))"),
            "UNIQUE constraint failed: recommendations.isbn",
        ),
        (
            "a CHECK on the source",
            format!("CREATE TABLE recommendations ({ours}, {key}, CHECK (source = 'model'))"),
            "CHECK constraint failed",
        ),
        (
            "an unknown collation",
            format!(
                "CREATE TABLE recommendations ({ours}, {key}); CREATE INDEX i ON recommendations (isbn COLLATE icu_root)"
            ),
            "icu_root",
        ),
        (
            "a foreign key of its own",
            format!(
                "CREATE TABLE auth_user (id INTEGER PRIMARY KEY);
                 CREATE TABLE recommendations ({}, {key})",
                ours.replace("user_id,", "user_id REFERENCES auth_user (id) ON DELETE CASCADE,")
            ),
            "refers to auth_user with a foreign key",
        ),
        (
            "numbers for books",
            format!("CREATE TABLE recommendations ({}, {key})", ours.replace("isbn13 TEXT", "isbn13 BIGINT")),
            "makes numbers of texts",
        ),
        (
            "a view",
            format!("CREATE TABLE r ({ours}); CREATE VIEW recommendations AS SELECT * FROM r"),
            "no ordinary table",
        ),
        (
            "a virtual table",
            "CREATE VIRTUAL TABLE recommendations USING fts5(user_id, rank_, isbn)".into(),
            "no column isbn13",
        ),
    ] {
        let shop = shop("wal", &schema);
        shop.add("007", isbn(3), 9);
        shop.add("ann", isbn(3), 9);
        shop.add("Ann", isbn(3), 9);
        let schema = shop.rows("SELECT sql FROM sqlite_schema WHERE tbl_name = 'recommendations'");
        let ran = shop.call(&["run"]);
        assert_eq!(ran.code, 78, "{what}: {ran:?}");
        let ran = ran.failed(78, words);
        assert!(
            ran.stderr.contains("what to do") && !ran.stderr.contains("train, epoch"),
            "{what}: {}",
            ran.stderr
        );
        assert_eq!(shop.rows("SELECT sql FROM sqlite_schema WHERE tbl_name = 'recommendations'"), schema);
        assert_eq!(
            shop.one::<i64>("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'nightshelf_trial_*'"),
            0
        );
    }
}

#[test]
fn a_set_before_is_not_put_into_a_shape_that_would_change_it() {
    let ours =
        "user_id, rank INTEGER, isbn TEXT, isbn13 TEXT, score REAL, predicted_rating REAL, source TEXT,
                because TEXT, run_id INTEGER";
    for (shape, words) in [
        (
            format!("{}, PRIMARY KEY (user_id, rank)", ours.replace("user_id,", "user_id INTEGER,")),
            "another type now",
        ),
        (
            format!("{ours}, PRIMARY KEY (user_id, rank), UNIQUE (isbn) ON CONFLICT IGNORE"),
            "rows of the set before are left",
        ),
        ("id INTEGER PRIMARY KEY, isbn TEXT".to_owned(), "nightshelf did not make"),
    ] {
        let shop = Shop::with_tastes(40, 40, 8);
        shop.add("007", isbn(3), 9);
        shop.night();
        shop.night();
        let before =
            shop.rows("SELECT name FROM sqlite_schema WHERE name GLOB 'nightshelf_?_recommendations'");
        shop.sql(&format!("DROP TABLE recommendations; CREATE TABLE recommendations ({shape})"));
        let ran = shop.call(&["rollback"]);
        assert!([1, 78].contains(&ran.code) && ran.stderr.contains(words), "{words}: {ran:?}");
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), 0);
        assert_eq!(shop.one::<i64>(&format!("SELECT count(*) FROM {}", before[0])), 410);
        shop.sql("DROP TABLE recommendations");
        shop.call(&["rollback"]).ok();
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), 410);
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = '007'"), 10);
    }
}

#[test]
fn a_set_before_that_is_not_whole_is_not_gone_back_to() {
    for damage in ["DELETE FROM {}", "DELETE FROM {} WHERE user_id = 5", "DROP TABLE {}"] {
        let shop = Shop::with_tastes(40, 40, 8);
        shop.night();
        shop.night();
        let table: String = shop.one(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'nightshelf_?_recommendations'",
        );
        let lists = shop.rows("SELECT * FROM recommendations");
        shop.sql(&damage.replace("{}", &table));
        shop.call(&["rollback"]).failed(1, "not whole");
        assert_eq!(shop.rows("SELECT * FROM recommendations"), lists, "{damage}");
        shop.night();
        shop.call(&["rollback"]).ok();
        shop.keeps_its_promises(10);
    }
    // Whom it does not have because he was forgotten, it does not lack.
    let shop = Shop::with_tastes(40, 40, 8);
    shop.night();
    shop.night();
    shop.sql("DELETE FROM ratings WHERE user_id = 7");
    shop.call(&["forget", "--user", "7"]).ok();
    shop.call(&["rollback"]).ok();
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), 390);
}

#[test]
fn a_set_before_in_another_shape_is_written_anew_row_by_row() {
    // 15,000 rows are two goes. By a rowid, by a key that falls, and by one that is not that of readers and ranks.
    for shape in [1, 6, 7] {
        let shop = Shop::with_tastes(1500, 300, 10);
        shop.sql(SHAPES[shape].1);
        shop.night();
        let lists =
            "SELECT user_id, rank, isbn, score, because, run_id FROM recommendations ORDER BY user_id, rank";
        let first = shop.rows(lists);
        assert_eq!(first.len(), 15_000);
        shop.sql("UPDATE ratings SET rating = 11 - rating WHERE rating > 0");
        shop.night();
        shop.sql("CREATE INDEX late ON recommendations (score, isbn)");
        shop.call(&["rollback"]).ok();
        assert!(shop.rows(lists) == first, "{}", SHAPES[shape].0);
        assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
        shop.call(&["check"]).ok();
    }
}
