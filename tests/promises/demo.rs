//! The first thing that a newcomer runs.

use crate::common::{Ran, Shop, nightshelf};

#[test]
fn the_demo_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let demo = || -> Ran {
        nightshelf()
            .arg("demo")
            .current_dir(folder.path())
            .env("NIGHTSHELF_DEVICE", "cpu")
            .output()
            .unwrap()
            .into()
    };
    let first = demo().ok();
    for words in ["liked", "would be shown", "because of", "stars expected", "sqlite3 demo.db", "What next?"]
    {
        assert!(first.stdout.contains(words), "{words:?} in {}", first.stdout);
    }
    assert_eq!(demo().ok().stdout, first.stdout, "a demo may be run again, and says the same");

    let shop = Shop { path: folder.path().join("demo.db"), folder: tempfile::tempdir().unwrap() };
    shop.keeps_its_promises(10);
    shop.call(&["check"]).ok();
    let titled: f64 =
        shop.one("SELECT avg(title IS NOT NULL) FROM recommendations LEFT JOIN books USING (isbn)");
    assert!(titled > 0.9, "the catalogue's spelling joins: {titled}");
    // Every query that the demo names can be asked.
    for part in first.stdout.split("sqlite3 demo.db \"").skip(1) {
        let sql = part.split('"').next().unwrap();
        assert!(!shop.rows(sql).is_empty(), "{sql}");
    }
}

#[test]
fn the_demo_finds_the_tastes_that_were_planted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.db");
    let ran: Ran = nightshelf().args(["demo", "--device", "cpu", "--db"]).arg(&path).output().unwrap().into();
    ran.ok();
    let shop = Shop { path, folder };
    // Authors write in one genre, so readers who love a genre should meet its authors again.
    let of_list = "SELECT count(DISTINCT author) AS authors FROM recommendations JOIN books USING (isbn)
                    WHERE rank <= 5 AND source = 'model' GROUP BY user_id";
    let spread: f64 = shop.one(&format!("SELECT avg(authors) FROM ({of_list})"));
    assert!(spread < 4.9, "{spread}");
    let stars: f64 = shop.one("SELECT avg(predicted_rating) FROM recommendations WHERE source = 'model'");
    let given: f64 = shop.one("SELECT avg(CAST(rating AS REAL)) FROM ratings WHERE rating BETWEEN 1 AND 10");
    assert!(stars > given, "what is shown is liked better ({stars}) than what was read ({given})");
}

#[test]
fn the_demo_never_touches_a_database_of_ones_own() {
    let shop = Shop::with_tastes(5, 8, 3);
    let before = std::fs::read(&shop.path).unwrap();
    shop.call(&["demo"]).failed(1, "no demo made it");
    assert!(std::fs::read(&shop.path).unwrap() == before);
}
