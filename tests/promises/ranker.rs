//! Lists of two models, in the order of a blend or of a ranker that has learned from this shop.

use crate::common::Shop;

const SCORES: &str = "SELECT score FROM recommendations WHERE source = 'model'";

fn ran(shop: &Shop, kind: &str) -> String {
    let ran = shop.call_with(&["run", "--force"], &[("NIGHTSHELF_KIND", kind)]).ok();
    shop.keeps_its_promises(10);
    shop.call(&["check"]).ok();
    // Scores are probabilities among a reader's candidates.
    let scores = shop.rows(SCORES);
    assert!(!scores.is_empty());
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(&score.parse::<f64>().unwrap())));
    ran.stderr
}

#[test]
fn what_is_learned_is_published_only_if_it_serves_readers_better_and_the_log_says_so() {
    let shop = Shop::with_tastes(1500, 120, 12);
    assert!(ran(&shop, "none").contains("ordered by the blend, as set"));
    for kind in ["mlp", "linear"] {
        let said = ran(&shop, kind);
        let line = said.lines().find(|line| line.contains("ordered by")).expect("said");
        let learned = line.contains("a learned ranker");
        assert!(learned || line.contains("not better beyond doubt"), "{line}");
        let low = line.split('(').nth(1).and_then(|text| text.split(' ').next()).expect("an interval");
        assert_eq!(learned, low.parse::<f64>().unwrap() > 0.0, "{line}");
    }
    // What was learned is the same each time, and with any number of threads.
    let lists = |threads: &str| {
        shop.call(&["run", "--force", "--threads", threads]).ok();
        shop.rows("SELECT user_id, rank, isbn, score FROM recommendations")
    };
    assert!(lists("1") == lists("3"));
    // Neighbours alone.
    let alone = [("NIGHTSHELF_FACTORS", "0")];
    shop.call_with(&["run", "--force"], &alone).ok();
    shop.keeps_its_promises(10);
    let isbn = shop.one::<String>("SELECT isbn FROM recommendations WHERE user_id = 1 AND rank = 1");
    let why = shop.call_with(&["explain", "--user", "1", "--isbn", &isbn, "--json"], &alone).ok().json();
    assert!(why["by_factors"] == 0.0 && why["by_neighbours"].as_f64() > Some(0.0), "{why}");
    shop.call_with(&["run"], &[("NIGHTSHELF_FACTORS", "0"), ("NIGHTSHELF_NEIGHBOURS", "0")])
        .failed(78, "factors");
    // Too few readers to learn from.
    let club = Shop::with_tastes(150, 60, 8);
    assert!(ran(&club, "mlp").contains("too few picks to learn from"));
    club.call_with(&["run"], &[("NIGHTSHELF_KIND", "oracle")]).failed(78, "oracle");
    club.call_with(&["run"], &[("NIGHTSHELF_HIDDEN", "32,0")]).failed(78, "hidden");
}

#[test]
fn strangers_get_what_is_read_now_where_ratings_have_times() {
    let shop = Shop::with_tastes(60, 40, 8);
    // Everybody read book 0 ten years ago, and a few read book 39 last week.
    shop.sql(
        "DELETE FROM ratings WHERE isbn IN (SELECT min(isbn) FROM ratings UNION SELECT max(isbn) FROM ratings);
         UPDATE ratings SET rated_at = '2012-01-01';
         INSERT INTO ratings (user_id, isbn, rating, rated_at)
             SELECT DISTINCT user_id, '9780306406157', 8, '2010-01-01' FROM ratings;
         INSERT INTO ratings (user_id, isbn, rating, rated_at)
             SELECT DISTINCT user_id, '9780804429573', 8, '2020-01-07' FROM ratings WHERE user_id < 5",
    );
    shop.night();
    let first = "SELECT isbn FROM recommendations_popular ORDER BY rank LIMIT 1";
    assert_eq!(shop.one::<String>(first), "9780804429573".to_owned(), "{:?}", shop.rows(first));
    shop.sql("UPDATE ratings SET rated_at = NULL");
    shop.call(&["run", "--force"]).ok();
    assert_eq!(shop.one::<String>(first), "9780306406157".to_owned(), "without times, what most have read");
}
