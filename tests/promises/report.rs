//! The page about a night stands alone, whatever there is to tell.

use crate::common::{Shop, isbn};

fn page(shop: &Shop, words: &[&str]) -> String {
    let out = shop.folder.path().join("night.html");
    shop.call(&[&["report", "--out", out.to_str().unwrap()], words].concat()).ok();
    let page = std::fs::read_to_string(&out).unwrap();
    for loading in ["http://", "https://", "src=", "@import", "url("] {
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains(loading), "the page loads something: {loading}");
    }
    page
}

#[test]
fn pages_are_right_with_no_run_one_run_and_more() {
    let shop = Shop::with_tastes(300, 200, 12);
    shop.add(1, "0-306-40615-", 4);
    shop.add(2, "a note", 4);
    for (reader, spelling) in [(3, "306406152"), (4, "0-306-40615-2"), (5, "0-306-40615-2")] {
        shop.add(reader, spelling, 7);
    }
    let none = page(&shop, &[]);
    assert!(none.contains("Nothing is published yet") && none.contains("What came in?"));
    assert!(!none.contains("NaN") && !none.contains("Is it good?"));
    shop.night();
    let one = page(&shop, &[]);
    for part in [
        "Is it good?",
        "Who gets what?",
        "What do readers see?",
        "What came in?",
        "What did it cost?",
        "Memory by stage",
        "another spelling of a book",
        "lost zeros given back",
        "not an isbn",
    ] {
        assert!(one.contains(part), "{part}");
    }
    assert!(one.contains("Better than popularity") && !one.contains("NaN"));
    shop.add(5, isbn(199), 9);
    shop.night();
    let two = page(&shop, &[]);
    assert_eq!(two.matches("nightly, published").count(), 2);
    assert!(two.matches("data-id=").count() == 60, "{}", two.matches("data-id=").count());
}

#[test]
fn readers_can_be_left_out() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.add("zenobia-4711", isbn(3), 9);
    shop.add("zenobia-4711", isbn(4), "no number");
    shop.night();
    assert!(page(&shop, &["--readers", "5000"]).contains("zenobia-4711"));
    let none = page(&shop, &["--readers", "0"]);
    assert!(!none.contains("zenobia") && !none.contains("What do readers see?"));
}

#[test]
fn an_empty_shop_has_a_page() {
    let shop = Shop::empty();
    assert!(page(&shop, &[]).contains("Nothing is published yet"));
}

#[test]
fn a_history_that_somebody_wrote_in_is_no_trouble() {
    let shop = Shop::with_tastes(300, 200, 12);
    shop.night();
    for metrics in [
        r#"{"losses":{"all":[1e308,-1e308,0],"held_out":[1e300]},"rmse":1e308,"gate":{"figure":"nDCG@20","readers":5,"model":1e308,"baseline":"gate","lead":{"mean":-1e308,"interval":[1e308]}}}"#,
        r#"{"losses":[{}],"gate":{"figure":"<u>","model":[],"objections":"<u>","baseline":"lead"},"peak_memory_bytes":-1}"#,
        "[]",
        "not JSON",
    ] {
        let connection = shop.open();
        let sql = "UPDATE nightshelf_runs SET metrics = ?1, timings = ?2, counts = ?2, started_at = ?1";
        connection.execute(sql, (metrics, r#"{"read_s":1e308,"train_s":-1e308,"total_s":"x"}"#)).unwrap();
        let page = page(&shop, &[]);
        for wrong in ["NaN", "inf", "<u>"] {
            let around = page.find(wrong).map(|at| page.split_at(at).1.chars().take(80).collect::<String>());
            assert_eq!(around, None, "{metrics}");
        }
        shop.call(&["runs"]).ok();
    }
}
