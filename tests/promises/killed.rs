//! Killed at any moment: the old set stands or the new one does, and the next run succeeds.
//!
//! Each moment at which a crash would hurt has a name (`failpoint::reach` in the program) and is reached every time;
//! besides, there are kills at moments drawn at random, which may hit anything or nothing.

use std::time::{Duration, Instant};

use crate::common::{Random, Shop, isbn};

/// `kill -9` of each command at this many moments drawn at random. `KILLS=300 cargo test --release killed` takes some
/// minutes and shows more.
fn kills() -> u64 {
    std::env::var("KILLS").map_or(12, |kills| kills.parse().unwrap())
}

#[test]
fn killed_at_any_moment_nothing_is_lost() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(1500, 300, 10);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        shop.sql("CREATE INDEX by_book ON recommendations (isbn)");
        let since = Instant::now();
        shop.night();
        let whole = since.elapsed();
        let per_set: i64 = shop.one("SELECT count(*) FROM recommendations");
        let mut random = Random(whole.as_nanos() as u64);
        let mut met = 0;
        for _ in 0..kills() / 2 {
            let before: i64 = shop.one("SELECT max(run_id) FROM recommendations");
            let mut night = shop.start(&["run", "--force"]);
            std::thread::sleep(Duration::from_micros(random.below(whole.as_micros() as u64)));
            night.kill().unwrap();
            night.wait().unwrap();

            assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
            assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), per_set);
            assert_eq!(shop.one::<i64>("SELECT count(DISTINCT run_id) FROM recommendations"), 1);
            let after: i64 = shop.one("SELECT max(run_id) FROM recommendations");
            let last: i64 = shop.one("SELECT max(run_id) FROM nightshelf_runs");
            assert!(after == before || after == last, "{before} {after} {last}");
            assert_eq!(
                after == last,
                shop.one::<String>("SELECT status FROM nightshelf_runs ORDER BY run_id DESC") == "published"
            );
            met += shop.one::<i64>("SELECT count(*) FROM nightshelf_runs WHERE status = 'running'");
            shop.keeps_its_promises(10);
        }
        shop.night();
        shop.call(&["rollback"]).ok();
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), per_set);
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM nightshelf_runs WHERE status = 'running'"), 0);
        println!("after {met} kills a run was noted as running");
        // Nothing half-written is left over: each slot holds one whole set, that before or the one before that.
        for slot in ["a", "b", "c"] {
            let twin = format!("nightshelf_{slot}_recommendations");
            let is_there = format!("SELECT count(*) FROM sqlite_schema WHERE name = '{twin}'");
            if shop.one::<i64>(&is_there) == 1 {
                assert_eq!(shop.one::<i64>(&format!("SELECT count(*) FROM {twin}")), per_set);
                assert_eq!(shop.one::<i64>(&format!("SELECT count(DISTINCT run_id) FROM {twin}")), 1);
            }
        }
        shop.call(&["check"]).ok();
    }
}

#[test]
fn killed_in_the_first_night_there_is_no_half_table() {
    let since = Instant::now();
    Shop::with_tastes(800, 200, 10).night();
    let whole = since.elapsed();
    let shop = Shop::with_tastes(800, 200, 10);
    let mut random = Random(11);
    for _ in 0..6 {
        let mut night = shop.start(&["run", "--force"]);
        std::thread::sleep(Duration::from_micros(random.below(whole.as_micros() as u64)));
        night.kill().unwrap();
        night.wait().unwrap();
        let tables: i64 = shop.one("SELECT count(*) FROM sqlite_schema WHERE name = 'recommendations'");
        if tables == 1 {
            assert_eq!(shop.one::<i64>("SELECT count(DISTINCT user_id) FROM recommendations"), 800);
        }
        assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
    }
    shop.night();
    shop.keeps_its_promises(10);
}

/// Kills a command at a random moment of its first `whole`.
fn kill_within(shop: &Shop, words: &[&str], whole: Duration, random: &mut Random) {
    let mut job = shop.start(words);
    std::thread::sleep(Duration::from_micros(random.below(whole.as_micros() as u64)));
    job.kill().unwrap();
    job.wait().unwrap();
    assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
}

#[test]
fn a_backfill_that_is_killed_leaves_whole_lists_and_the_next_goes_on() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(1500, 300, 10);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        let change = "UPDATE ratings SET rating = (rating + 1) % 10 + 1 WHERE user_id % 2 = 0";
        shop.sql(change);
        let since = Instant::now();
        shop.backfill(&[]);
        let whole = since.elapsed();
        let (mut random, mut met) = (Random(whole.as_nanos() as u64), 0);
        for _ in 0..kills() / 2 {
            shop.sql(change);
            kill_within(&shop, &["backfill"], whole, &mut random);
            let torn = "SELECT count(*) FROM (SELECT 1 FROM recommendations GROUP BY user_id
                        HAVING count(*) <> 10 OR count(DISTINCT run_id) > 1)";
            assert_eq!(shop.one::<i64>(torn), 0);
            assert_eq!(shop.one::<i64>("SELECT count(DISTINCT user_id) FROM recommendations"), 1500);
            shop.keeps_its_promises(10);
            shop.call(&["check"]).ok();
            met += shop.one::<i64>("SELECT count(*) FROM nightshelf_runs WHERE status = 'running'");
            let report = shop.backfill(&[]);
            assert!(["published", "unchanged"].contains(&report["status"].as_str().unwrap()));
            let checked = shop.call(&["check", "--json"]).ok().json();
            assert_eq!(checked["changed_readers"], 0);
        }
        println!("{met} kills met a backfill at work");
        shop.night();
        shop.call(&["check"]).ok();
    }
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_stopped() {
    let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
    let rows: String =
        (0..60_000).map(|row| format!("{},{},{}\n", row % 3000, isbn(row / 3000), row % 10 + 1)).collect();
    std::fs::write(file.path(), format!("user_id,isbn,rating\n{rows}")).unwrap();
    let words = ["import", file.path().to_str().unwrap()];
    let fresh = || {
        let shop = Shop::empty();
        shop.sql("DROP TABLE ratings");
        shop
    };
    let since = Instant::now();
    fresh().call(&words).ok();
    let whole = since.elapsed();
    let (mut random, mut resumed) = (Random(9), 0);
    for round in 0..kills() {
        let shop = fresh();
        shop.sql(if round % 2 == 0 { "PRAGMA journal_mode = wal" } else { "SELECT 1" });
        kill_within(&shop, &words, whole, &mut random);
        kill_within(&shop, &words, whole, &mut random);
        let report = shop.call(&[&words[..], &["--json"]].concat()).ok().json();
        resumed += i64::from(report["files"][0]["resumed_at"].is_number());
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), 60_000);
        assert_eq!(shop.one::<i64>("SELECT CAST(sum(rating) AS INTEGER) FROM ratings"), 330_000);
        assert_eq!(report["files"][0]["rejected"], serde_json::json!({}));
    }
    println!("{resumed} imports were resumed");
}

#[test]
fn a_rollback_that_is_killed_has_happened_or_not() {
    let shop = Shop::with_tastes(600, 200, 10);
    shop.night();
    shop.night();
    let since = Instant::now();
    shop.call(&["rollback"]).ok();
    let whole = since.elapsed();
    let mut random = Random(13);
    for _ in 0..kills() {
        kill_within(&shop, &["rollback"], whole, &mut random);
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), 6000);
        assert_eq!(shop.one::<i64>("SELECT count(DISTINCT run_id) FROM recommendations"), 1);
        let now: i64 = shop.one("SELECT max(run_id) FROM recommendations");
        assert_eq!(shop.one::<i64>("SELECT max(run_id) FROM recommendations_popular"), now);
        shop.keeps_its_promises(10);
        // Whichever it is, the other one is still there.
        shop.call(&["rollback"]).ok();
        assert_ne!(shop.one::<i64>("SELECT max(run_id) FROM recommendations"), now);
    }
    shop.call(&["check"]).ok();
    shop.night();
    shop.keeps_its_promises(10);
}

/// All that must be true of the published set after a crash, if the set had `rows` rows.
#[track_caller]
fn stands(shop: &Shop, rows: i64, place: &str) {
    assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok", "{place}");
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), rows, "{place}");
    assert_eq!(shop.one::<i64>("SELECT count(DISTINCT run_id) FROM recommendations"), 1, "{place}");
    assert_eq!(
        shop.one::<i64>("SELECT max(run_id) FROM recommendations"),
        shop.one::<i64>("SELECT max(run_id) FROM recommendations_popular"),
        "{place}"
    );
    shop.keeps_its_promises(10);
}

#[test]
fn a_night_that_dies_at_any_named_place_leaves_a_whole_set() {
    const PLACES: [&str; 13] = [
        "night.begun",
        "clear.batch",
        "clear.dropped",
        "draft.prepared",
        "draft.rows",
        "draft.rows@2",
        "model.written",
        "model.renamed",
        "draft.written",
        "exchange.renamed",
        "exchange.renamed@5",
        "exchange.renamed@6",
        "exchange.committed",
    ];
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(1500, 300, 10);
        // So that a set of this size is cleared in several transactions, as large ones are.
        shop.sql(&format!("PRAGMA auto_vacuum = FULL; VACUUM; PRAGMA journal_mode = {journal}"));
        shop.night();
        shop.sql("CREATE UNIQUE INDEX once ON recommendations (user_id, isbn)");
        shop.night();
        shop.night();
        for place in PLACES {
            let before: i64 = shop.one("SELECT max(run_id) FROM recommendations");
            shop.die_at(place, &["run", "--force"]);
            stands(&shop, 15_000, place);
            let after: i64 = shop.one("SELECT max(run_id) FROM recommendations");
            let status: String = shop.one("SELECT status FROM nightshelf_runs ORDER BY run_id DESC");
            match place {
                "exchange.committed" => assert!(after > before && status == "published", "{place} {status}"),
                _ => assert!(after == before && status == "running", "{place} {status}"),
            }
            // Whatever it was, the set before is still there, and nothing is lost by going there and back.
            shop.call(&["rollback"]).ok();
            stands(&shop, 15_000, place);
            shop.call(&["rollback"]).ok();
            assert_eq!(shop.one::<i64>("SELECT max(run_id) FROM recommendations"), after, "{place}");
            shop.night();
            stands(&shop, 15_000, place);
            assert_eq!(shop.one::<i64>("SELECT count(*) FROM nightshelf_runs WHERE status = 'running'"), 0);
            shop.call(&["check"]).ok();
        }
        // Nothing is left over: the current set, the one before, and the one before that at most.
        let sets = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE '%recommendations'";
        assert!(shop.one::<i64>(sets) <= 3);
        let beside = std::fs::read_dir(shop.beside()).unwrap().count();
        assert_eq!(beside, 3, "the lock and two models");
    }
}

#[test]
fn a_first_night_that_dies_at_any_named_place_leaves_all_or_nothing() {
    for place in [
        "night.begun",
        "draft.prepared",
        "draft.rows",
        "model.written",
        "draft.written",
        "exchange.renamed@2",
        "exchange.committed",
    ] {
        let shop = Shop::with_tastes(200, 60, 10);
        shop.die_at(place, &["run"]);
        let tables: i64 = shop.one("SELECT count(*) FROM sqlite_schema WHERE name = 'recommendations'");
        assert_eq!(tables, i64::from(place == "exchange.committed"), "{place}");
        if tables == 1 {
            stands(&shop, 2000, place);
        }
        shop.night();
        stands(&shop, 2000, place);
        shop.call(&["check"]).ok();
    }
}

#[test]
fn a_backfill_that_dies_at_any_named_place_leaves_whole_lists() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(3000, 300, 10);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        for place in ["backfill.begun", "backfill.batch", "backfill.batch@2"] {
            shop.sql("UPDATE ratings SET rating = (rating + 1) % 10 + 1 WHERE user_id % 2 = 0");
            shop.die_at(place, &["backfill"]);
            let torn = "SELECT count(*) FROM (SELECT 1 FROM recommendations GROUP BY user_id
                        HAVING count(*) <> 10 OR count(DISTINCT run_id) > 1)";
            assert_eq!(shop.one::<i64>(torn), 0, "{place}");
            shop.keeps_its_promises(10);
            shop.call(&["check"]).ok();
            assert_eq!(shop.backfill(&[])["status"], "published", "{place}: the next goes on");
            assert_eq!(shop.call(&["check", "--json"]).ok().json()["changed_readers"], 0);
        }
    }
}

#[test]
fn an_import_that_dies_at_any_named_place_goes_on_from_there() {
    let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
    let rows: String =
        (0..60_000).map(|row| format!("{},{},{}\n", row % 3000, isbn(row / 3000), row % 10 + 1)).collect();
    std::fs::write(file.path(), format!("user_id,isbn,rating\n{rows}")).unwrap();
    let words = ["import", file.path().to_str().unwrap()];
    for journal in ["wal", "delete"] {
        let shop = Shop::empty();
        shop.sql(&format!("DROP TABLE ratings; PRAGMA journal_mode = {journal}"));
        for place in ["import.batch", "import.batch@2", "import.batch"] {
            shop.die_at(place, &words);
            assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
            let noted: i64 = shop.one("SELECT records FROM nightshelf_imports");
            assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), noted, "{place}");
        }
        let report = shop.call(&[&words[..], &["--json"]].concat()).ok().json();
        assert!(report["files"][0]["resumed_at"].as_i64() > Some(0), "{report}");
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), 60_000);
        assert_eq!(shop.one::<i64>("SELECT CAST(sum(rating) AS INTEGER) FROM ratings"), 330_000);
    }
}

#[test]
fn a_rollback_that_dies_at_any_named_place_has_happened_or_not() {
    for journal in ["wal", "delete"] {
        for place in ["rollback.prepared", "copy.batch", "exchange.renamed@2", "exchange.committed"] {
            let shop = Shop::with_tastes(1500, 300, 10);
            shop.sql(&format!("PRAGMA journal_mode = {journal}"));
            shop.night();
            shop.night();
            // Another shape than that of the set before, which is written anew then.
            shop.sql("CREATE INDEX late ON recommendations (score)");
            let before: i64 = shop.one("SELECT max(run_id) FROM recommendations");
            shop.die_at(place, &["rollback"]);
            stands(&shop, 15_000, place);
            let after: i64 = shop.one("SELECT max(run_id) FROM recommendations");
            assert_eq!(after != before, place == "exchange.committed", "{place}");
            // Whichever it is, the other one is still there.
            shop.call(&["rollback"]).ok();
            stands(&shop, 15_000, place);
            assert_ne!(shop.one::<i64>("SELECT max(run_id) FROM recommendations"), after, "{place}");
            shop.call(&["check"]).ok();
            shop.night();
            stands(&shop, 15_000, place);
        }
    }
}

#[test]
fn a_forgetting_that_dies_half_way_is_finished_by_the_next() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.add("zenobia", isbn(3), 9);
    shop.night();
    shop.night();
    shop.sql("DELETE FROM ratings WHERE user_id = 'zenobia'");
    shop.die_at("forget.rows@1", &["forget", "--user", "zenobia"]);
    shop.call(&["check"]).ok();
    shop.call(&["forget", "--user", "zenobia"]).ok();
    for (path, bytes) in crate::common::contents(shop.folder.path()) {
        assert!(!bytes.windows(7).any(|window| window == b"zenobia"), "{}", path.display());
    }
    shop.call(&["rollback"]).ok();
    shop.keeps_its_promises(10);
}
