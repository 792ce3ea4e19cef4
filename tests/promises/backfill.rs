//! Backfill: who has changed is known, only their lists are replaced, and they are right.

use std::collections::BTreeMap;

use crate::common::{Shop, isbn};

const LISTS: &str = "SELECT user_id, rank, isbn, score, source, because, run_id FROM recommendations";

/// Every reader's rows.
fn by_reader(shop: &Shop) -> BTreeMap<String, Vec<String>> {
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in shop.rows(LISTS) {
        let (reader, rest) = row.split_once('|').unwrap();
        lists.entry(reader.to_owned()).or_default().push(rest.to_owned());
    }
    lists
}

/// 200 readers with a published set, and then what an import may bring. Readers who have changed.
fn imported(journal: &str) -> (Shop, Vec<&'static str>) {
    let shop = Shop::with_tastes(200, 80, 12);
    shop.sql(&format!("PRAGMA journal_mode = {journal}"));
    // No book of this one is anybody else's only one.
    shop.sql("DELETE FROM ratings WHERE user_id = 8; INSERT INTO ratings SELECT 8, isbn, 7, NULL FROM ratings WHERE user_id = 4");
    shop.night();
    shop.add("new here", isbn(4), 9);
    shop.add("new here", isbn(8), 8);
    shop.add("new here", isbn(900), 10);
    for reader in [12, 16, 20] {
        shop.add(reader, isbn(900), 9);
    }
    shop.sql(
        "UPDATE ratings SET rating = rating % 10 + 1 WHERE rowid = (SELECT min(rowid) FROM ratings WHERE user_id = 6);
         DELETE FROM ratings WHERE rowid = (SELECT min(rowid) FROM ratings r WHERE user_id = 7
           AND (SELECT count(*) FROM ratings o WHERE o.user_id = 7 AND o.isbn = r.isbn) = 1);
         DELETE FROM ratings WHERE user_id = 8",
    );
    (shop, vec!["new here", "12", "16", "20", "6", "7"])
}

#[test]
fn only_new_and_changed_readers_get_a_new_list() {
    for journal in ["wal", "delete"] {
        let (shop, changed) = imported(journal);
        let before = by_reader(&shop);
        let popular = shop.rows("SELECT * FROM recommendations_popular");
        let report = shop.backfill(&[]);
        assert_eq!(report["status"], "published", "{report}");
        let metrics = &report["metrics"];
        assert_eq!(
            (&metrics["new_users"], &metrics["changed_users"], &metrics["gone_users"], &metrics["new_items"]),
            (&1.into(), &5.into(), &1.into(), &1.into())
        );
        assert_eq!(metrics["model_run"], 1);
        assert_eq!(report["due"].as_array().unwrap().len(), 0);

        let after = by_reader(&shop);
        let run = report["run_id"].to_string();
        for (reader, rows) in &after {
            if changed.contains(&reader.as_str()) {
                assert_eq!(rows.len(), 10);
                for row in rows {
                    assert!(row.ends_with(&format!("|{run}")), "{row}");
                    assert!(row.contains("|fold-in|") || row.contains("|popular|"), "{row}");
                }
                assert!(rows[0].contains("|fold-in|"), "{rows:?}");
            } else {
                assert_eq!(Some(rows), before.get(reader), "reader {reader} is left alone");
            }
        }
        assert!(!after.contains_key("8") && before.contains_key("8"));
        assert_eq!(after.len(), 200);
        assert_eq!(shop.rows("SELECT * FROM recommendations_popular"), popular);
        shop.keeps_its_promises(10);
        let checked = shop.call(&["check", "--json"]).ok().json();
        assert_eq!(checked["changed_readers"], 0, "{checked}");
        assert_eq!(shop.one::<String>("PRAGMA journal_mode"), journal);

        let story = "SELECT kind, status, json_extract(counts, '$.recommendations') FROM nightshelf_runs";
        assert_eq!(shop.rows(story)[1], "backfill|published|60");
        let again = shop.backfill(&[]);
        assert_eq!(again["status"], "unchanged");
        assert_eq!(by_reader(&shop), after);
        // A night is due all the same: the model has not seen any of it.
        assert_eq!(shop.call(&["run", "--json"]).ok().json()["status"], "published");
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE source = 'fold-in'"), 0);
    }
}

#[test]
fn lists_are_those_of_a_full_solve_against_the_same_books() {
    // A night ends with everybody's exact answer to the books' factors. So solving everybody again
    // against the stored ones must give the same lists.
    for objective in ["ranking", "rating"] {
        let shop = Shop::with_tastes(150, 120, 15);
        shop.add("007", isbn(3), 9);
        shop.add("007", isbn(7), 9);
        shop.call(&["run", "--objective", objective]).ok();
        let rows = |shop: &Shop| {
            let lists =
                "SELECT user_id, rank, isbn, coalesce(because, ''), score, coalesce(predicted_rating, 0)
                         FROM recommendations";
            let row = |row: String| {
                let columns: Vec<&str> = row.split('|').collect();
                let number = |place: usize| columns[place].parse::<f64>().unwrap();
                (columns[..4].join("|"), number(4), number(5))
            };
            shop.rows(lists).into_iter().map(row).collect::<Vec<_>>()
        };
        let before = rows(&shop);
        let everybody = shop.folder.path().join("everybody.txt");
        std::fs::write(&everybody, shop.rows("SELECT DISTINCT user_id FROM ratings").join("\n")).unwrap();
        let report = shop.backfill(&["--objective", objective, "--users", everybody.to_str().unwrap()]);
        assert_eq!(report["metrics"]["changed_users"], 151);
        let after = rows(&shop);
        assert_eq!(before.len(), after.len());
        let mut moved = 0;
        for (before, after) in before.iter().zip(&after) {
            assert!((before.1 - after.1).abs() < 1e-4 * (1.0 + before.1.abs()), "{before:?} {after:?}");
            assert!((before.2 - after.2).abs() < 2e-4 * (1.0 + before.2.abs()), "{before:?} {after:?}");
            // Near ties may change places, and nothing else may.
            moved += usize::from(before.0 != after.0);
        }
        assert!(moved < 15, "{moved} of {} rows have moved", after.len());
        shop.keeps_its_promises(10);
    }
}

#[test]
fn a_new_book_is_recommended_to_those_who_like_its_kind() {
    let shop = Shop::with_tastes(200, 80, 12);
    shop.night();
    // A book that all of one taste pick up, and a newcomer of that taste who has not.
    for reader in (1..120).step_by(4) {
        shop.add(reader, isbn(901), 10);
    }
    for book in [1, 5, 9, 13] {
        shop.add("newcomer", isbn(book), 9);
    }
    shop.backfill(&[]);
    let place: Option<i64> = shop.one(&format!(
        "SELECT max(rank) FROM recommendations WHERE user_id = 'newcomer' AND isbn = '{}'",
        isbn(901)
    ));
    assert!(place.is_some(), "{:?}", by_reader(&shop)["newcomer"]);
    let because: String =
        shop.one("SELECT because FROM recommendations WHERE user_id = 'newcomer' AND rank = 1");
    assert!([1, 5, 9, 13].map(isbn).contains(&because));
}

#[test]
fn readers_may_be_named() {
    let (shop, _) = imported("wal");
    let before = by_reader(&shop);
    let names = shop.folder.path().join("names.txt");
    let some = |text: &str| {
        std::fs::write(&names, text).unwrap();
        ["--users", names.to_str().unwrap()].map(str::to_owned)
    };
    let flags = some("12\n\n 8 \nnobody\n100\n");
    let ran = shop.call(&["backfill", "--json", &flags[0], &flags[1]]).ok();
    assert!(ran.stderr.contains("1 of 4 readers have no ratings, such as \"nobody\""), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!(report["metrics"]["changed_users"], 2);
    assert_eq!(report["metrics"]["gone_users"], 1);
    let after = by_reader(&shop);
    let touched: Vec<_> = before
        .keys()
        .chain(after.keys())
        .filter(|reader| before.get(*reader) != after.get(*reader))
        .collect();
    assert!(touched.iter().all(|reader| ["12", "8", "100"].contains(&reader.as_str())), "{touched:?}");
    assert!(!after.contains_key("8") && !after.contains_key("new here"));

    let flags = some("nobody");
    shop.call(&["backfill", &flags[0], &flags[1]]).failed(65, "have no ratings");
    let flags = some("\n");
    shop.call(&["backfill", &flags[0], &flags[1]]).failed(66, "names no reader");
    shop.call(&["backfill", "--users", "/nowhere"]).failed(66, "/nowhere");
    // A slip of the pen is no reason for a full night.
    let flags = some("nobody");
    shop.call(&["backfill", "--full-if-needed", &flags[0], &flags[1]]).failed(65, "have no ratings");
    shop.call(&["backfill", "--full-if-needed", "--since-run", "77"]).failed(66, "of runs 1");
    assert_eq!(by_reader(&shop), after);

    // All that has changed since the night, also what was done since.
    shop.backfill(&[]);
    let report = shop.backfill(&["--since-run", "1"]);
    assert_eq!(
        (&report["metrics"]["new_users"], &report["metrics"]["changed_users"]),
        (&0.into(), &6.into())
    );
    shop.call(&["backfill", "--since-run", "77"]).failed(66, "of runs 1");
    shop.keeps_its_promises(10);
}

#[test]
fn a_full_night_is_due_when_much_has_changed() {
    let shop = Shop::with_tastes(100, 60, 10);
    shop.call(&["backfill"]).failed(1, "no published set");
    shop.backfill(&["--full-if-needed"]);
    shop.sql("INSERT INTO ratings SELECT user_id + 1000, isbn, rating, NULL FROM ratings WHERE user_id < 60");
    let report = shop.call(&["backfill", "--json"]).ok();
    assert!(
        report.stderr.contains("a full night is due: 60 of 160 readers have changed"),
        "{}",
        report.stderr
    );
    assert_eq!(report.json()["metrics"]["new_users"], 60);
    assert_eq!(report.json()["due"].as_array().unwrap().len(), 1);
    shop.keeps_its_promises(10);
    let report = shop.backfill(&["--full-if-needed"]);
    assert_eq!((&report["status"], &report["timings"]["train_s"].is_number()), (&"published".into(), &true));
    let last = "SELECT kind, status FROM nightshelf_runs ORDER BY run_id DESC LIMIT 1";
    assert_eq!(shop.rows(last), ["nightly|published"]);
    assert_eq!(shop.rows("SELECT DISTINCT source FROM recommendations WHERE source <> 'popular'"), ["model"]);
    shop.call(&["check"]).ok();
    // Other settings take a night, too.
    shop.add(5, isbn(59), 9);
    let ran = shop.call(&["backfill", "--top", "4"]).ok();
    assert!(ran.stderr.contains("settings differ from those of run"), "{}", ran.stderr);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 5"), 10);
    shop.backfill(&["--top", "4", "--full-if-needed"]);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 5"), 4);
    // Unless one says otherwise.
    shop.sql("INSERT INTO ratings SELECT user_id + 3000, isbn, rating, NULL FROM ratings WHERE user_id < 60");
    let all = [("NIGHTSHELF_FULL_SHARE", "1"), ("NIGHTSHELF_TOP", "4")];
    let ran = shop.call_with(&["backfill", "--full-if-needed", "--json"], &all).ok();
    assert_eq!(ran.json()["metrics"]["new_users"], 60);
}

#[test]
fn a_model_that_is_of_no_use_is_named() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    shop.add("new here", isbn(4), 9);
    let lists = shop.rows(LISTS);
    let model = shop.beside().join("model-1");
    let manifest = std::fs::read_to_string(model.join("manifest.json")).unwrap();
    let rewrite = |from: &str, to: &str| {
        assert!(manifest.contains(from));
        std::fs::write(model.join("manifest.json"), manifest.replacen(from, to, 1)).unwrap();
    };
    let refused = |code: i32, words: &str| {
        shop.call(&["backfill"]).failed(code, words);
        assert_eq!(shop.rows(LISTS), lists, "{words}");
        assert_eq!(shop.one::<String>("SELECT status FROM nightshelf_runs ORDER BY run_id DESC"), "failed");
    };
    rewrite("\"format\": 8", "\"format\": 3");
    refused(1, "an older nightshelf");
    rewrite("\"format\": 8", "\"format\": 9");
    refused(1, "a newer nightshelf");
    rewrite("\"run_id\": 1", "\"run_id\": 7");
    refused(1, "foreign");
    // Whole, and signed, but nothing that could be worked with.
    rewrite("\"top\": 10,", "\"top\": 1000000000000000000,");
    refused(74, "top is 1000000000000000000");
    let digest = shop.one::<String>("SELECT input_digest FROM nightshelf_runs WHERE run_id = 1");
    rewrite(&digest, "0123456789abcdef");
    refused(1, "foreign");
    std::fs::write(model.join("manifest.json"), &manifest[..manifest.len() / 2]).unwrap();
    refused(74, "manifest.json");
    std::fs::remove_file(model.join("manifest.json")).unwrap();
    refused(74, "manifest.json");
    std::fs::write(model.join("manifest.json"), &manifest).unwrap();
    for file in ["factors.safetensors", "users.parquet", "items.parquet"] {
        let whole = std::fs::read(model.join(file)).unwrap();
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(model.join(file), &bytes).unwrap();
        refused(74, file);
        std::fs::write(model.join(file), &whole[..middle]).unwrap();
        refused(74, file);
        std::fs::remove_file(model.join(file)).unwrap();
        refused(74, file);
        std::fs::write(model.join(file), whole).unwrap();
    }
    let away = shop.folder.path().join("away");
    std::fs::rename(&model, &away).unwrap();
    refused(66, "missing");
    shop.call(&["doctor"]).failed(1, "problem");
    shop.backfill(&["--full-if-needed"]);
    assert_eq!(shop.rows("SELECT DISTINCT source FROM recommendations WHERE source <> 'popular'"), ["model"]);
    shop.call(&["check"]).ok();

    // A set from before such things were noted.
    shop.sql("DELETE FROM nightshelf_readers");
    shop.call(&["backfill"]).failed(1, "do not say which ratings");
    shop.sql("DROP TABLE nightshelf_readers");
    shop.call(&["backfill"]).failed(1, "do not say which ratings");
    shop.night();
    shop.call(&["rollback"]).ok();
    shop.call(&["rollback"]).ok();
    assert_eq!(shop.backfill(&[])["status"], "unchanged");
}

#[test]
fn rollback_takes_back_what_lists_were_made_from() {
    let shop = Shop::with_tastes(80, 40, 8);
    shop.night();
    shop.add(5, isbn(39), 9);
    shop.night();
    shop.call(&["rollback"]).ok();
    // Back at the first set, reader 5 is out of date again, and the first model answers.
    let report = shop.backfill(&[]);
    assert_eq!(
        (&report["metrics"]["model_run"], &report["metrics"]["changed_users"]),
        (&1.into(), &1.into())
    );
    shop.call(&["rollback"]).ok();
    assert_eq!(shop.backfill(&[])["status"], "unchanged");
    shop.night();
    let mut models: Vec<_> = std::fs::read_dir(shop.beside())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("model-"))
        .collect();
    models.sort();
    let night: i64 = shop.one("SELECT max(run_id) FROM nightshelf_runs");
    assert_eq!(models, ["model-2".to_owned(), format!("model-{night}")], "of both sets");
}

#[test]
fn nothing_is_written_in_a_dry_run() {
    let (shop, _) = imported("delete");
    let before = crate::common::contents(shop.folder.path());
    let report = shop.backfill(&["--dry-run"]);
    assert_eq!((&report["status"], &report["metrics"]["new_users"]), (&"dry-run".into(), &1.into()));
    assert!(crate::common::contents(shop.folder.path()) == before);
}

#[test]
fn a_readers_trigger_and_index_work_on_in_a_backfill() {
    let (shop, changed) = imported("wal");
    shop.sql(
        "CREATE UNIQUE INDEX once ON recommendations (user_id, isbn);
         CREATE TABLE audit (who);
         CREATE TRIGGER watch AFTER INSERT ON recommendations BEGIN INSERT INTO audit VALUES (new.user_id); END",
    );
    shop.backfill(&[]);
    let mut seen = shop.rows("SELECT DISTINCT who FROM audit ORDER BY 1");
    let mut changed: Vec<String> = changed.into_iter().map(str::to_owned).collect();
    seen.sort();
    changed.sort();
    assert_eq!(seen, changed);
    shop.keeps_its_promises(10);
}
