//! A night whose lists would be worse than those that stand is not published.

use serde_json::Value;

use crate::common::{Random, Shop, isbn};

const LISTS: &str = "SELECT * FROM recommendations ORDER BY user_id, rank";
const LAST: &str = "SELECT status, finished_at IS NOT NULL, error FROM nightshelf_runs ORDER BY run_id DESC";

/// A shop whose first night is over.
fn shop() -> Shop {
    let shop = Shop::with_tastes(500, 200, 12);
    let report = shop.call(&["run", "--json"]).ok().json();
    let gate = &report["metrics"]["gate"];
    assert_eq!((&gate["verdict"], &gate["figure"]), (&"passed".into(), &"nDCG@20".into()));
    assert!(gate["model"].as_f64() > gate["popularity"].as_f64(), "{gate}");
    assert!(gate["readers"].as_u64().unwrap() > 200 && gate["before"].is_null());
    assert!(report["timings"]["evaluate_s"].as_f64().unwrap() > 0.0);
    shop
}

/// Breaks the ratings, and expects what the gate then says.
fn refused(shop: &Shop, sql: &str, words: &[&str]) -> Value {
    let lists = shop.rows(LISTS);
    shop.sql(sql);
    let ran = shop.call(&["run", "--json"]);
    let report = ran.json();
    for words in words {
        assert!(ran.stderr.contains(words), "{words:?} is not in {}", ran.stderr);
    }
    ran.failed(3, "--force");
    assert_eq!(report["status"], "refused");
    assert_eq!(report["metrics"]["gate"]["verdict"], "refused");
    assert_eq!(shop.rows(LISTS), lists, "the lists of before stand");
    assert!(shop.rows(LAST)[0].starts_with("refused|1|the quality gate refused"), "{:?}", shop.rows(LAST));
    assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
    report
}

#[test]
fn half_of_the_ratings_gone() {
    let shop = shop();
    refused(&shop, "DELETE FROM ratings WHERE rowid % 2 = 0", &["ratings: ", "% less", "in run 1"]);
    // It says the same tomorrow, and publishes when it is told to.
    shop.call(&["run"]).failed(3, "less");
    let report = shop.call(&["run", "--force", "--json"]).ok().json();
    assert_eq!((&report["status"], &report["run_id"]), (&"published".into(), &4.into()));
    let gate = &report["metrics"]["gate"];
    assert_eq!(gate["verdict"], "forced");
    assert!(!gate["objections"].as_array().unwrap().is_empty());
    // What was forced is what the next night is compared with.
    shop.add(3, isbn(77), 8);
    assert_eq!(shop.call(&["run", "--json"]).ok().json()["metrics"]["gate"]["verdict"], "passed");
}

#[test]
fn readers_mixed_up() {
    let shop = shop();
    // Each rating goes to the reader of another one: as many readers, books and ratings as before.
    let mixed =
        "CREATE TABLE mixed AS SELECT user_id, row_number() OVER (ORDER BY rowid * 7919 % 10007) AS place
                 FROM ratings;
                 CREATE INDEX by_place ON mixed (place);
                 UPDATE ratings SET user_id = (SELECT user_id FROM mixed WHERE place = ratings.rowid);
                 DROP TABLE mixed;";
    let report = refused(&shop, mixed, &["worse than that of run 1"]);
    let before = &report["metrics"]["gate"]["before"];
    assert_eq!(before["run_id"], 1);
    assert!(before["lead"]["interval"][1].as_f64().unwrap() < 0.0, "{before}");
}

#[test]
fn readers_ids_given_to_others() {
    let shop = Shop::with_tastes(300, 200, 12);
    // Half of them have read far more than the others.
    shop.add_tastes(150, 200, 40);
    shop.call(&["run"]).ok();
    refused(&shop, "UPDATE ratings SET user_id = (user_id + 150) % 300", &["the readers of run 1 have"]);
}

#[test]
fn all_ratings_the_same() {
    let shop = shop();
    refused(&shop, "UPDATE ratings SET rating = 5", &["spread of stars", "100% less"]);
    shop.sql("UPDATE ratings SET rating = 0");
    shop.call(&["run"]).failed(3, "ratings with stars: 0 now");
}

#[test]
fn a_normal_night_passes_and_is_compared() {
    let shop = shop();
    let mut random = Random(9);
    for _ in 0..60 {
        shop.add(random.below(520) as i64, isbn(random.below(200)), 7);
    }
    let report = shop.call(&["run", "--json"]).ok().json();
    let before = &report["metrics"]["gate"]["before"];
    assert_eq!((&report["status"], &before["run_id"]), (&"published".into(), &1.into()));
    assert!(before["readers"].as_u64().unwrap() > 200);
    let (then, now) = (before["then"].as_f64().unwrap(), before["now"].as_f64().unwrap());
    assert!((then - now).abs() < 0.5 * then, "{before}");
    let said = shop.call(&["run", "--force"]).ok().stderr;
    assert!(said.contains("nDCG@20") && said.contains("were judged in run 2, too"), "{said}");
}

#[test]
fn settings_that_spoil_the_model_are_refused_too() {
    let shop = shop();
    let lists = shop.rows(LISTS);
    // Good neighbours would make up for bad factors.
    let bad =
        [("NIGHTSHELF_REGULARIZATION", "50"), ("NIGHTSHELF_NEIGHBOURS", "0"), ("NIGHTSHELF_KIND", "none")];
    shop.call_with(&["run"], &bad).failed(3, "worse than that of run 1");
    // Nothing is written to be told so.
    shop.call_with(&["run", "--dry-run"], &bad).failed(3, "worse than that of run 1");
    assert_eq!(shop.rows(LISTS), lists);
    shop.call_with(&["run"], &[bad[0], bad[1], bad[2], ("NIGHTSHELF_ENABLED", "false")]).ok();
    assert_ne!(shop.rows(LISTS), lists);
}

#[test]
fn what_cannot_be_judged_is_let_through_and_said() {
    // Too few readers for figures.
    let shop = Shop::with_tastes(12, 40, 8);
    let said = shop.call(&["run"]).ok().stderr;
    assert!(said.contains("not judged: too few readers"), "{said}");
    // And in a small club, one who leaves is a large share.
    shop.sql("DELETE FROM ratings WHERE user_id > 7");
    shop.call(&["run"]).ok();
    // Not the same figure as before, and no model of before.
    let shop = self::shop();
    let said = shop.call(&["run", "--objective", "rating"]).ok().stderr;
    assert!(said.contains("RMSE") && said.contains("judged by something else"), "{said}");
    shop.call(&["run"]).ok();
    std::fs::remove_dir_all(shop.beside()).unwrap();
    let said = shop.call(&["run", "--force"]).ok().stderr;
    assert!(said.contains("not compared with run 3") && said.contains("missing"), "{said}");
}

#[test]
fn a_refusal_is_seen_by_those_who_watch() {
    let shop = shop();
    shop.sql("DELETE FROM ratings WHERE rowid % 3 > 0");
    let file = shop.folder.path().join("night.prom");
    let ran = shop.command(&["run"]).arg("--metrics-file").arg(&file).output().unwrap();
    assert_eq!(ran.status.code(), Some(3));
    let text = std::fs::read_to_string(&file).unwrap();
    let code = text.lines().find(|line| line.starts_with("nightshelf_exit_code")).unwrap();
    assert!(code.contains("command=\"run\"") && code.ends_with(" 3"), "{code}");
    let said = shop.call(&["runs"]).ok().stdout;
    assert!(said.contains("refused") && said.contains("run 2: the quality gate refused"), "{said}");
    // A backfill that turns into a full night is no way around it.
    shop.call(&["backfill", "--full-if-needed"]).failed(3, "the quality gate refused");
}

#[test]
fn what_was_not_noted_is_said_and_not_taken_for_fine() {
    let shop = Shop::with_tastes(80, 40, 8);
    shop.night();
    shop.sql("UPDATE nightshelf_runs SET counts = json_remove(counts, '$.spread')");
    let ran = shop.call(&["run", "--force", "--json"]).ok();
    assert!(ran.stderr.contains("did not note it: the spread of stars"), "{}", ran.stderr);
    assert_eq!(ran.json()["metrics"]["gate"]["missing"].as_array().unwrap().len(), 1);
    // Nobody could be judged: that is no pass.
    let few = Shop::with_tastes(12, 8, 3);
    assert_eq!(few.night()["metrics"]["gate"]["verdict"], "not judged");
}
