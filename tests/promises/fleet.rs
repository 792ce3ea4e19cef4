//! Many databases at a glance, the worst first.

use std::path::Path;
use std::process::Output;

use crate::common::{Shop, nightshelf};

/// A folder with a database that is well, one whose nights are long ago, one whose gate refused, one that had no night, and a
/// file that is no database.
fn fleet() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copy = |shop: &Shop, name: &str| {
        let to = folder.path().join(name);
        shop.open().execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
        to
    };
    let shop = Shop::with_tastes(60, 40, 8);
    copy(&shop, "new.db");
    shop.night();
    // Many small jobs since then do not hide the night.
    let well = copy(&shop, "well.db");
    let small = "WITH n (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 150)
         INSERT INTO nightshelf_runs (kind, status, started_at, version, config)
         SELECT 'backfill', 'unchanged', started_at, version, config FROM n, (SELECT * FROM nightshelf_runs LIMIT 1)";
    rusqlite::Connection::open(well).unwrap().execute(small, []).unwrap();
    let old = copy(&shop, "old.db");
    let moved = "UPDATE nightshelf_runs SET finished_at = '2026-01-01T00:00:00Z'";
    rusqlite::Connection::open(old).unwrap().execute(moved, []).unwrap();
    shop.sql("DELETE FROM ratings WHERE rowid % 4 > 0");
    shop.call(&["run"]).failed(3, "");
    copy(&shop, "refused.db");
    std::fs::write(
        folder.path().join("broken.db"),
        "no database at all, but long enough to be taken for one".repeat(20),
    )
    .unwrap();
    folder
}

fn call(folder: &Path, words: &[&str]) -> Output {
    nightshelf().current_dir(folder).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_worst_stand_first_and_what_cannot_be_read_is_no_good_morning() {
    let folder = fleet();
    let ran = call(folder.path(), &["runs", "--db", "*.db"]);
    let shown = text(&ran.stdout);
    let places: Vec<_> = ["broken.db", "new.db", "refused.db", "old.db", "well.db"]
        .iter()
        .map(|name| shown.find(name).unwrap_or_else(|| panic!("{name} is not in {shown}")))
        .collect();
    assert!(places.is_sorted(), "{shown}");
    for word in ["unreadable", "never", "refused", "old", "good", "days ago", "minutes ago"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
    assert_eq!(ran.status.code(), Some(66), "{}", text(&ran.stderr));
    assert!(text(&ran.stderr).contains("1 of 5 databases cannot be read"), "{}", text(&ran.stderr));

    // Two by name, and for programs.
    let ran = call(folder.path(), &["runs", "--json", "--db", "well.db", "--db", "old.db"]);
    let told: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((ran.status.code(), &told["databases"][0]["state"]), (Some(0), &"old".into()));
    assert_eq!(told["databases"][1]["state"], "good");
    assert!(told["databases"][1]["rows"].as_u64() > Some(0), "{told}");
    // One is shown as ever; a shape is a fleet, though it finds only one today.
    for (name, key) in [("well.db", "runs"), ("well.*", "databases")] {
        let one = call(folder.path(), &["runs", "--json", "--db", name]);
        assert!(serde_json::from_slice::<serde_json::Value>(&one.stdout).unwrap()[key].is_array(), "{name}");
    }
    assert_eq!(call(folder.path(), &["runs", "--db", "none-*.db"]).status.code(), Some(66));
}

#[test]
fn one_that_stays_busy_is_to_be_asked_again() {
    let folder = fleet();
    let other = rusqlite::Connection::open(folder.path().join("well.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let ran = nightshelf()
        .current_dir(folder.path())
        .env("NIGHTSHELF_PATIENCE", "1")
        .args(["runs", "--json", "--db", "well.db", "--db", "old.db"])
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(told["databases"][0]["state"], "busy");
    assert_eq!(ran.status.code(), Some(75), "{}", text(&ran.stderr));
    assert!(text(&ran.stderr).contains("1 of 2 databases stayed busy"), "{}", text(&ran.stderr));
}

#[test]
fn a_page_has_a_line_for_each() {
    let folder = fleet();
    let ran = call(folder.path(), &["report", "--db", "*.db", "--out", "fleet.html"]);
    assert_eq!(ran.status.code(), Some(66), "{}", text(&ran.stderr));
    let page = std::fs::read_to_string(folder.path().join("fleet.html")).unwrap();
    let places: Vec<_> = ["broken.db", "new.db", "refused.db", "old.db", "well.db"]
        .iter()
        .map(|name| page.find(&format!("<td>{name}")).unwrap_or_else(|| panic!("{name} is not in {page}")))
        .collect();
    assert!(places.is_sorted() && page.contains("1 are well, 4 need a look"), "{page}");
    assert!(!page.contains("http") && !page.contains("src="), "the page stands alone");
}
