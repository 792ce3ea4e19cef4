//! Publishing beside a live application: readers, writers, and what the user built on the table.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::Shop;

#[test]
fn readers_see_one_whole_set_and_writers_get_in() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(2000, 400, 10);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        let per_set: i64 = shop.one("SELECT count(*) FROM recommendations");
        let (stop, reads, writes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        // How long a writer waits is measured in tests/bench/beside.py; here nobody is ever refused.
        let seen = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let connection = shop.open();
                let mut seen = HashSet::new();
                while !stop.load(Ordering::SeqCst) {
                    let sets = connection
                        .query_row(
                            "SELECT count(*), count(DISTINCT run_id), min(run_id), count(DISTINCT user_id),
                               (SELECT min(run_id) FROM recommendations_popular) FROM recommendations",
                            [],
                            |row| {
                                let number = |column| row.get::<_, i64>(column);
                                Ok([number(0)?, number(1)?, number(2)?, number(3)?, number(4)?])
                            },
                        )
                        .unwrap();
                    let [rows, runs, run, readers, popular] = sets;
                    assert!(rows >= per_set, "a partial set: {sets:?}");
                    assert_eq!(runs, 1, "a mix of two sets: {sets:?}");
                    assert!(readers >= 2000, "readers are missing: {sets:?}");
                    assert_eq!(run, popular, "lists of one run, popular list of another: {sets:?}");
                    seen.insert(run);
                    reads.fetch_add(1, Ordering::SeqCst);
                }
                seen
            });
            let writer = scope.spawn(|| {
                let connection = shop.open();
                let sql = "INSERT INTO ratings VALUES (?1, '9780306406157', 7, NULL)";
                while !stop.load(Ordering::SeqCst) {
                    let writes = writes.fetch_add(1, Ordering::SeqCst);
                    connection.execute(sql, [5000 + writes as i64 % 50]).unwrap();
                    std::thread::yield_now();
                }
            });
            // Each of them gets in, again and again, before and after each job.
            let both_get_in = || {
                let before = [&reads, &writes].map(|count| count.load(Ordering::SeqCst));
                while [&reads, &writes]
                    .iter()
                    .zip(before)
                    .any(|(count, before)| count.load(Ordering::SeqCst) < before + 2)
                    && !reader.is_finished()
                    && !writer.is_finished()
                {
                    std::thread::yield_now();
                }
            };
            both_get_in();
            let jobs = [["run"], ["run"], ["rollback"]].map(|words| {
                let ran = shop.call(&words);
                both_get_in();
                ran
            });
            // Before anything can fail: the others go on until they are told.
            stop.store(true, Ordering::SeqCst);
            jobs.into_iter().for_each(|job| drop(job.ok()));
            writer.join().unwrap();
            reader.join().unwrap()
        });
        assert!([1, 2].iter().all(|run| seen.contains(run)), "{seen:?}");
        assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
        shop.call(&["check"]).ok();
    }
}

#[test]
fn a_reader_in_the_middle_of_a_transaction_keeps_the_old_set() {
    let shop = Shop::with_tastes(50, 40, 8);
    shop.sql("PRAGMA journal_mode = wal");
    shop.night();
    let connection = shop.open();
    connection.execute_batch("BEGIN").unwrap();
    let run = || -> i64 {
        connection.query_row("SELECT max(run_id) FROM recommendations", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(run(), 1);
    shop.night();
    assert_eq!(run(), 1);
    connection.execute_batch("COMMIT").unwrap();
    assert_eq!(run(), 2, "and sees the new one without opening the database again");
}

#[test]
fn what_the_user_built_on_the_table_stands_and_works() {
    let shop = Shop::with_tastes(80, 40, 8);
    shop.night();
    shop.sql(
        "CREATE INDEX \"who gets it?\" ON recommendations (isbn, user_id);
         CREATE UNIQUE INDEX once ON \"recommendations\"(user_id, isbn) WHERE rank > 0;
         CREATE TABLE audit (what);
         CREATE TRIGGER watch AFTER DELETE ON recommendations BEGIN INSERT INTO audit VALUES (old.isbn); END;
         CREATE VIEW best AS SELECT user_id, isbn FROM recommendations WHERE rank = 1;
         ALTER TABLE recommendations ADD COLUMN note TEXT DEFAULT 'x'",
    );
    // The names of indexes alternate, and SQLite writes the table's own name in quotes.
    let schema = || {
        let sql = "SELECT iif(type = 'index', '', name), type, tbl_name, sql FROM sqlite_schema
                    WHERE tbl_name NOT LIKE 'nightshelf%' ORDER BY 1, substr(sql, 1, 15), instr(sql, 'WHERE')";
        let after_name = |row: String| row[row.find('(').unwrap_or_default()..].to_owned();
        shop.rows(sql).into_iter().map(after_name).collect::<Vec<_>>()
    };
    let index_of = |columns: &str| {
        let sql = format!(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'recommendations' AND sql LIKE '%({columns})%'"
        );
        shop.one::<String>(&sql)
    };
    let before = schema();
    for run in 2..5 {
        shop.night();
        assert_eq!(schema(), before, "run {run}");
        assert_eq!(shop.one::<i64>("SELECT max(run_id) FROM recommendations"), run);
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM best"), 80);
        // The index is full and is used; integrity_check compares it with the table, row by row.
        let plan =
            shop.rows("EXPLAIN QUERY PLAN SELECT user_id FROM recommendations WHERE isbn = '9781000000009'");
        let index = index_of("isbn, user_id");
        assert!(plan[0].contains(&index) && index.ends_with("who gets it?"), "{plan:?}");
        assert_eq!(
            shop.one::<i64>(&format!(
                "SELECT count(*) FROM recommendations INDEXED BY \"{index}\" WHERE isbn > ''"
            )),
            shop.one::<i64>("SELECT count(*) FROM recommendations")
        );
        shop.keeps_its_promises(10);
        shop.sql("DELETE FROM audit; DELETE FROM recommendations WHERE user_id = 3 AND rank = 10");
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM audit"), 1, "the trigger fires");
    }
    shop.call(&["rollback"]).ok();
    assert_eq!(schema(), before);
    // Another shape than the one in which the set before was written.
    shop.sql("CREATE INDEX late ON recommendations (score)");
    shop.sql(&format!("DROP INDEX \"{}\"", index_of("user_id, isbn")));
    let before = schema();
    shop.call(&["rollback"]).ok();
    assert_eq!(schema(), before);
    assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
    shop.night();
    shop.keeps_its_promises(10);
}

#[test]
fn rollback_puts_the_set_before_back_and_again_undoes_it() {
    let shop = Shop::with_tastes(60, 40, 8);
    let lists = "SELECT * FROM recommendations";
    shop.call(&["rollback"]).failed(1, "no set before");
    let older = shop.night()["run_id"].clone();
    let first = shop.rows(lists);
    shop.call(&["rollback"]).failed(1, "no set before");
    shop.add_tastes(80, 60, 5);
    let newer = shop.night()["run_id"].clone();
    let second = shop.rows(lists);
    assert_ne!(first, second);
    let undone = shop.call(&["rollback", "--json"]).ok().json();
    assert_eq!((&undone["from"], &undone["to"]), (&newer, &older), "{undone}");
    assert!(shop.rows(lists) == first);
    shop.call(&["check"]).ok();
    shop.call(&["rollback"]).ok();
    assert!(shop.rows(lists) == second);
    let story = shop.rows("SELECT run_id, kind, status FROM nightshelf_runs");
    assert!(story.contains(&format!("{newer}|nightly|published")), "{story:?}");
    assert_eq!(story.iter().filter(|row| row.ends_with("rollback|published")).count(), 2);
    assert_eq!(story.iter().filter(|row| row.ends_with("rollback|failed")).count(), 2);
    shop.night();
    shop.call(&["rollback"]).ok();
    assert!(shop.rows(lists) == second, "the set before is kept through later nights");
}

#[test]
fn a_night_that_fails_leaves_both_sets() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    shop.night();
    let lists = shop.rows("SELECT * FROM recommendations");
    shop.sql("ALTER TABLE ratings RENAME TO hidden");
    shop.call(&["run"]).failed(78, "no table ratings");
    assert_eq!(shop.rows("SELECT * FROM recommendations"), lists);
    shop.call(&["rollback"]).ok();
    assert_eq!(shop.one::<i64>("SELECT max(run_id) FROM recommendations"), 1);
    let story: String = shop.one("SELECT error FROM nightshelf_runs WHERE status = 'failed'");
    assert!(story.contains("no table ratings"));
}

#[test]
fn a_table_of_that_name_that_is_not_ours_is_left_alone() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.sql("CREATE TABLE recommendations (id, friend); INSERT INTO recommendations VALUES (1, 'ann')");
    shop.call(&["run"]).failed(78, "nightshelf did not make");
    assert_eq!(shop.rows("SELECT * FROM recommendations"), ["1|ann"]);
}

#[test]
fn check_finds_what_is_broken() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.call(&["check"]).failed(1, "nothing is published");
    shop.night();
    for (damage, promise) in [
        ("DELETE FROM recommendations WHERE user_id = 5 AND rank = 2", "without gaps"),
        ("UPDATE recommendations SET isbn13 = 'x', isbn = 'x' WHERE user_id = 5 AND rank < 3", "twice"),
        ("UPDATE recommendations SET score = 1e9 WHERE user_id = 5 AND rank = 3", "never rise"),
        ("UPDATE recommendations SET run_id = 77 WHERE user_id = 5", "known run"),
        ("DELETE FROM recommendations WHERE user_id = 5", "has a list"),
        (
            "UPDATE recommendations SET (isbn, isbn13) = (SELECT isbn, isbn FROM ratings WHERE user_id = 5)
              WHERE user_id = 5 AND rank = 1",
            "has rated",
        ),
    ] {
        shop.call(&["check"]).ok();
        shop.sql(damage);
        let answer = shop.call(&["check"]);
        assert_eq!(answer.code, 1, "{damage}");
        let verdict =
            answer.stdout.lines().find(|line| line.starts_with("NOT")).unwrap_or_default().to_owned();
        assert!(verdict.contains(promise), "{damage}: {}", answer.stdout);
        assert!(answer.stderr.contains("promises are broken"));
        shop.night();
    }
    // Ratings that came later are told, not held against the run.
    shop.add(9999, "9780306406157", 5);
    let answer = shop.call(&["check", "--json"]).ok().json();
    assert_eq!(answer["changed_readers"], 1);
    assert!(answer["since_the_run"][0]["broken"].as_i64().unwrap() > 0);
}

#[test]
fn an_index_that_is_out_of_step_is_found() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(60, 40, 8);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        shop.sql("CREATE INDEX by_book ON recommendations (isbn)");
        shop.night();
        shop.call(&["check"]).ok();
        // As a program that meddles with the schema would leave it: an index with the rows of another.
        shop.sql(
            "CREATE INDEX other ON recommendations (isbn) WHERE rank = 1;
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'other')
              WHERE name LIKE '%by_book' AND tbl_name = 'recommendations';
             DELETE FROM sqlite_schema WHERE name = 'other'",
        );
        let checked = shop.call(&["check"]);
        assert_eq!(checked.code, 1, "{checked:?}");
        assert!(checked.stdout.contains("NOT  tables and their indexes agree"), "{}", checked.stdout);
        shop.call(&["doctor"]).failed(1, "problem");
        shop.night();
        shop.call(&["check"]).ok();
    }
}

#[test]
fn lists_that_are_read_in_goes_are_of_one_set() {
    // Without WAL a long read is cut, so that writers get in between: 60,000 rows are two goes.
    let shop = Shop::with_tastes(6000, 60, 4);
    let out = shop.folder.path().join("lists.csv");
    let export = ["export", "recommendations", "--out", out.to_str().unwrap()];
    shop.night();
    let reading = shop.wait_at("lists.go", &export);
    shop.night();
    reading.go_on().failed(75, "new lists were published while those of before were read");
    assert!(!out.exists());
    // A backfill between two goes gives some readers another list, and nobody half of one.
    let reading = shop.wait_at("lists.go", &export);
    shop.sql("UPDATE ratings SET rating = (rating + 1) % 10 + 1 WHERE user_id BETWEEN 4000 AND 5999");
    shop.backfill(&[]);
    reading.go_on().ok();
    let text = std::fs::read_to_string(&out).unwrap();
    let ranks = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse::<u64>().unwrap());
    assert!(ranks.zip((1..=10).cycle()).all(|(rank, expected)| rank == expected), "a list is torn");
    assert_eq!(text.lines().count(), 60_001);
    let checked = shop.wait_at("lists.go", &["check"]);
    shop.call(&["rollback"]).ok();
    checked.go_on().failed(75, "new lists were published");
}
