//! A reader who is forgotten is gone from everything that we keep.

use crate::common::{Shop, contents, isbn};

const WHO: &str = "zenobia-4711";

#[test]
fn nothing_is_left_of_a_forgotten_reader() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(60, 40, 8);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        for book in [3, 7, 11] {
            shop.add(WHO, isbn(book), 9);
        }
        shop.add(WHO, isbn(15), "no number");
        shop.add(61, isbn(16), "no number");
        shop.night();
        shop.night();
        shop.backfill(&[]);
        assert!(shop.one::<String>("SELECT examples FROM nightshelf_rejects").contains(WHO));
        let others = "SELECT * FROM recommendations WHERE user_id <> 'zenobia-4711'";
        let before = shop.rows(others);

        // The application's own part first, as thoroughly.
        shop.sql(&format!("PRAGMA secure_delete = on; DELETE FROM ratings WHERE user_id = '{WHO}'"));
        let ran = shop.call(&["forget", "--user", WHO, "--json"]).ok();
        assert_eq!((&ran.json()["models"], &ran.json()["ratings_left"]), (&2.into(), &0.into()));
        if journal == "wal" {
            shop.sql("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        for (path, bytes) in contents(shop.folder.path()) {
            let found = bytes.windows(WHO.len()).any(|window| window == WHO.as_bytes());
            assert!(!found, "{} still has the name", path.display());
        }
        assert_eq!(shop.rows(others), before);
        shop.keeps_its_promises(10);
        // What is left is whole: it is read, it answers, it can be gone back to.
        shop.call(&["check"]).ok();
        shop.call(&["doctor"]).ok();
        shop.add(5, isbn(39), 9);
        assert_eq!(shop.backfill(&[])["metrics"]["changed_users"], 1);
        shop.call(&["rollback"]).ok();
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 'zenobia-4711'"), 0);
        assert_eq!(
            shop.one::<String>("SELECT examples FROM nightshelf_rejects LIMIT 1").matches("61").count(),
            1
        );
        shop.call(&["forget", "--user", WHO]).failed(66, "nothing is kept");
        shop.call(&["forget", "--user", ""]).failed(2, "--user");
    }
}

#[test]
fn ratings_that_are_still_there_are_told() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    let ran = shop.call(&["forget", "--user", "7"]).ok();
    assert!(ran.stderr.contains("still has 8 ratings"), "{}", ran.stderr);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 7"), 0);
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
