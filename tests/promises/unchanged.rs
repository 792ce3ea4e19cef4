//! A night with nothing new is a short one, and everything new is seen.

use crate::common::{Shop, isbn};

fn status(shop: &Shop) -> String {
    shop.call(&["run", "--json"]).ok().json()["status"].as_str().unwrap().to_owned()
}

#[test]
fn nothing_new_is_nothing_to_do() {
    let shop = Shop::with_tastes(80, 40, 8);
    assert_eq!(status(&shop), "published");
    let lists = shop.rows("SELECT * FROM recommendations");
    let model = std::fs::read(shop.beside().join("model-1/factors.safetensors")).unwrap();
    let ran = shop.call(&["run", "--json"]).ok();
    assert!(ran.stderr.contains("--force trains anyway"), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!((&report["status"], &report["run_id"]), (&"unchanged".into(), &2.into()));
    assert_eq!(report["recommendations"], 800);
    assert_eq!(report["timings"]["train_s"], 0.0);
    assert_eq!(shop.rows("SELECT * FROM recommendations"), lists);
    assert_eq!(std::fs::read(shop.beside().join("model-1/factors.safetensors")).unwrap(), model);
    let story = "SELECT status, finished_at NOT NULL, length(input_digest) FROM nightshelf_runs";
    assert_eq!(shop.rows(story), ["published|1|16", "unchanged|1|16"]);
    // Neither how long it may take nor on how many threads decides what comes out.
    let aside = [("NIGHTSHELF_PATIENCE", "7"), ("NIGHTSHELF_THREADS", "1"), ("NIGHTSHELF_FULL_SHARE", "0.5")];
    assert_eq!(shop.call_with(&["run", "--json"], &aside).ok().json()["status"], "unchanged");
    // Rows that come in another order, or spelled otherwise in one place of many, are the same ratings.
    shop.sql("CREATE TABLE other AS SELECT * FROM ratings ORDER BY random()");
    shop.sql(
        "DELETE FROM ratings WHERE rowid NOT IN (SELECT max(rowid) FROM ratings GROUP BY user_id, isbn)",
    );
    assert_eq!(status(&shop), "unchanged");
    assert_eq!(shop.call(&["run", "--force", "--json"]).ok().json()["status"], "published");
}

#[test]
fn every_change_of_ratings_is_seen() {
    // No timestamps, no triggers, and not even a primary key to go by.
    let shop = Shop::with_tastes(80, 40, 8);
    shop.sql("CREATE TABLE plain AS SELECT user_id, isbn, rating FROM ratings; DROP TABLE ratings; ALTER TABLE plain RENAME TO ratings");
    status(&shop);
    for change in [
        "INSERT INTO ratings VALUES (3, '9781000000009', 0)",
        "UPDATE ratings SET rating = 8 WHERE user_id = 3 AND isbn = '9781000000009'",
        "UPDATE ratings SET isbn = '9781000000016' WHERE user_id = 3 AND isbn = '9781000000009'",
        "DELETE FROM ratings WHERE user_id = 3 AND isbn = '9781000000016'",
        "UPDATE ratings SET user_id = 'three' WHERE user_id = 3",
        "UPDATE ratings SET user_id = '4' WHERE user_id = 4",
        "DELETE FROM ratings WHERE user_id = 5",
    ] {
        shop.sql(change);
        assert_eq!(status(&shop), "published", "{change}");
        assert_eq!(status(&shop), "unchanged", "{change}");
    }
}

#[test]
fn what_else_may_have_changed_is_seen_too() {
    let shop = Shop::with_tastes(80, 40, 8);
    status(&shop);
    for (flags, variable) in [
        (&["--top", "5"][..], None),
        (&["--top", "5", "--seed", "3"], None),
        (&["--top", "5", "--seed", "3"], Some(("NIGHTSHELF_SCALE", "1,20"))),
    ] {
        let variables: Vec<_> = variable.into_iter().collect();
        for expected in ["published", "unchanged"] {
            let ran = shop.call_with(&[&["run", "--json"], flags].concat(), &variables).ok();
            assert_eq!(ran.json()["status"], expected, "{flags:?} {variable:?}");
        }
    }
    assert_eq!(status(&shop), "published", "back to the settings from before");
    for damage in [
        "DELETE FROM recommendations WHERE user_id = 7 AND rank = 3",
        "DROP TABLE recommendations",
        "DROP TABLE recommendations_popular",
        "UPDATE nightshelf_runs SET version = '0.0.1'",
    ] {
        shop.sql(damage);
        assert_eq!(status(&shop), "published", "{damage}");
        shop.keeps_its_promises(10);
    }
    let run: i64 = shop.one("SELECT max(run_id) FROM nightshelf_runs");
    std::fs::write(shop.beside().join(format!("model-{run}/users.parquet")), "x").unwrap();
    assert_eq!(status(&shop), "published", "the model is damaged");
    // A backfill that was undone in the ratings is not undone in the lists.
    shop.add(7, isbn(39), 9);
    shop.backfill(&[]);
    shop.sql("DELETE FROM ratings WHERE rowid = (SELECT max(rowid) FROM ratings)");
    assert_eq!(status(&shop), "published");
    assert_eq!(status(&shop), "unchanged");
}

#[test]
fn a_long_table_is_read_whole_in_either_journal_mode() {
    // Long enough for several short reads, which a rollback journal asks for.
    let shop = Shop::empty();
    shop.sql(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
         INSERT INTO ratings SELECT i % 4000, '978' || (i * 7919 % 5003), i % 10 + 1, NULL FROM n;
         INSERT INTO ratings (rowid, user_id, isbn, rating) VALUES
           ({}, 'first', '{first}', 5), ({}, 'last', '{first}', 5)",
        i64::MIN,
        i64::MAX,
        first = isbn(1),
    ));
    let read = |journal: &str| {
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        let flags =
            ["run", "--json", "--key", "text", "--epochs", "1", "--factors", "2", "--objective", "ranking"];
        let report = shop.call_with(&flags, &[("NIGHTSHELF_RATING_EPOCHS", "1")]).ok().json();
        assert_eq!(report["ratings"]["read"], 400_002, "{journal}");
        assert_eq!(report["users"], 4002);
        report["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(read("delete"), "published");
    assert_eq!(read("wal"), "unchanged", "the same rows come out of both");
}
