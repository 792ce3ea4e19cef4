//! A shop's own rules: stock, returns, kinds of events, authors, series, languages, categories; and proof that lists work.

use std::path::PathBuf;

use crate::common::{Random, Shop};

/// ISBNs of an English or a German publisher.
fn isbn_of(language: u64, number: u64) -> String {
    let body = match language {
        0 => format!("9780{number:08}"),
        _ => format!("9783{number:08}"),
    };
    let digits = body.bytes().map(|digit| u64::from(digit - b'0'));
    let sum: u64 =
        digits.enumerate().map(|(place, digit)| if place % 2 == 0 { digit } else { 3 * digit }).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

const BOOKS: u64 = 240;
const READERS: u64 = 400;

/// 240 books: 20 authors of twelve each; the first four of every author are a series. A sixth is German. 400 readers with
/// tastes: visits, loans and purchases; some returns, some "not interested", and a stock.
fn bookshop() -> (Shop, PathBuf) {
    let shop = Shop::empty();
    shop.sql(
        "DROP TABLE ratings;
         CREATE TABLE books (isbn TEXT PRIMARY KEY, title TEXT, author TEXT, genre TEXT);
         CREATE TABLE events (reader TEXT, isbn TEXT, kind TEXT);
         CREATE TABLE returns (reader TEXT, isbn TEXT);
         CREATE TABLE not_interested (reader TEXT, isbn TEXT);
         CREATE TABLE stock (isbn TEXT, copies INTEGER);",
    );
    let (mut connection, mut random) = (shop.open(), Random(5));
    let transaction = connection.transaction().unwrap();
    let language = |book: u64| u64::from(book % 24 >= 20);
    for book in 0..BOOKS {
        let (author, place) = (book / 12, book % 12);
        let title = match place {
            0..4 => format!("Tale {book} (Saga of {author}, #{})", place + 1),
            _ => format!("Story {book}"),
        };
        let isbn = isbn_of(language(book), book);
        let genre = ["Crime", "Fantasy", "History; Crime"][(author % 3) as usize];
        transaction
            .execute(
                "INSERT INTO books VALUES (?1, ?2, ?3, ?4)",
                (&isbn, &title, format!("Author {author}"), genre),
            )
            .unwrap();
        transaction.execute("INSERT INTO stock VALUES (?1, ?2)", (&isbn, i64::from(book % 7 != 3))).unwrap();
    }
    for reader in 0..READERS {
        let name = format!("r{reader:03}");
        for _ in 0..12 {
            let author =
                if random.below(10) < 8 { reader % 5 + 5 * random.below(4) } else { random.below(20) };
            let isbn = isbn_of(language(author * 12 + 11), author * 12 + random.below(12));
            let book = author * 12 + random.below(12);
            let isbn = if random.below(2) == 0 { isbn_of(language(book), book) } else { isbn };
            let kind = ["visit", "loan", "purchase"][random.below(3) as usize];
            // Only books that are there.
            let sql = "INSERT INTO events SELECT ?1, isbn, ?3 FROM books WHERE isbn = ?2";
            transaction.execute(sql, (&name, &isbn, kind)).unwrap();
        }
        if reader % 9 == 0 {
            let sql = "INSERT INTO returns SELECT reader, isbn FROM events WHERE reader = ?1 LIMIT 1";
            transaction.execute(sql, [&name]).unwrap();
        }
    }
    transaction.commit().unwrap();
    let config = shop.folder.path().join("shop.toml");
    let text = r#"
        [source]
        query = "SELECT reader, isbn, 0, NULL, CASE kind WHEN 'purchase' THEN 3 WHEN 'loan' THEN 1 ELSE 0.2 END FROM events"
        [candidates]
        query = "SELECT isbn FROM stock WHERE copies > 0"
        [exclude]
        query = "SELECT reader, isbn FROM not_interested"
        [dislikes]
        query = "SELECT reader, isbn FROM returns"
        [rules]
        per_author = 3
        series_in_order = true
        language = "strict"
    "#;
    std::fs::write(&config, text).unwrap();
    (shop, config)
}

/// Asks a query that counts what breaks a rule.
#[track_caller]
fn none(shop: &Shop, sql: &str) {
    assert_eq!(shop.one::<i64>(sql), 0, "{sql}");
}

/// Every rule, in plain SQL.
#[track_caller]
fn all_rules_hold(shop: &Shop) {
    for (table, isbn) in [
        ("recommendations", "isbn"),
        ("recommendations_popular", "isbn"),
        ("recommendations_popular_by", "isbn"),
        ("recommendations_similar", "similar_isbn"),
    ] {
        let sold_out =
            format!("SELECT count(*) FROM {table} WHERE {isbn} IN (SELECT isbn FROM stock WHERE copies = 0)");
        none(shop, &sold_out);
        assert!(shop.one::<i64>(&format!("SELECT count(*) FROM {table}")) > 0, "{table}");
    }
    for of_reader in ["returns", "not_interested"] {
        none(
            shop,
            &format!(
                "SELECT count(*) FROM recommendations r JOIN {of_reader} x ON x.reader = r.user_id AND x.isbn = r.isbn"
            ),
        );
    }
    none(
        shop,
        "SELECT count(*) FROM (SELECT 1 FROM recommendations JOIN books USING (isbn) GROUP BY user_id, author HAVING count(*) > 3)",
    );
    // A volume is shown only if the reader has every volume before it, and none that is not the first unread.
    let volume = "CAST(substr(title, instr(title, '#') + 1, 1) AS INTEGER)";
    none(
        shop,
        &format!(
            "WITH volumes AS (SELECT isbn, author, {volume} AS volume FROM books WHERE title LIKE '%#%')
             SELECT count(*) FROM recommendations r JOIN volumes v USING (isbn) JOIN volumes earlier
                ON earlier.author = v.author AND earlier.volume < v.volume
              WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.reader = r.user_id AND e.isbn = earlier.isbn)"
        ),
    );
    none(
        shop,
        &format!(
            "SELECT count(*) FROM recommendations_popular JOIN books USING (isbn) WHERE title LIKE '%#%' AND {volume} > 1"
        ),
    );
    // Who has read nothing in German is shown nothing in German, and the other way round.
    none(
        shop,
        "SELECT count(*) FROM recommendations r WHERE NOT EXISTS
           (SELECT 1 FROM events e WHERE e.reader = r.user_id AND substr(e.isbn, 4, 1) = substr(r.isbn, 4, 1))",
    );
}

#[test]
fn a_shop_is_served_by_its_own_rules_in_every_table() {
    let (shop, config) = bookshop();
    let config = config.to_str().unwrap();
    shop.call(&["run", "--config", config]).ok();
    all_rules_hold(&shop);
    // Whole lists, as enough books are left.
    none(
        &shop,
        "SELECT count(*) FROM (SELECT 1 FROM recommendations GROUP BY user_id HAVING count(*) <> 10)",
    );
    assert_eq!(
        shop.rows("SELECT DISTINCT category FROM recommendations_popular_by ORDER BY 1"),
        ["Crime", "Fantasy", "History"]
    );
    none(
        &shop,
        "SELECT count(*) FROM recommendations_popular_by p JOIN books USING (isbn) WHERE genre NOT LIKE '%' || p.category || '%'",
    );
    none(&shop, "SELECT count(*) FROM recommendations_similar WHERE isbn = similar_isbn");
    shop.call(&["check", "--config", config]).ok();

    // Sold out and unwanted since: a refresh is enough.
    shop.sql(
        "UPDATE stock SET copies = 0 WHERE isbn IN (SELECT isbn FROM recommendations_popular WHERE rank <= 3);
         INSERT INTO not_interested SELECT user_id, isbn FROM recommendations WHERE rank = 2 LIMIT 50;",
    );
    shop.call(&["check", "--config", config]).failed(1, "refresh");
    let before = shop.rows("SELECT user_id || rank || isbn FROM recommendations ORDER BY 1");
    shop.call(&["refresh", "--config", config]).ok();
    all_rules_hold(&shop);
    none(
        &shop,
        "SELECT count(*) FROM (SELECT 1 FROM recommendations GROUP BY user_id HAVING count(*) <> 10)",
    );
    shop.call(&["check", "--config", config]).ok();
    let after = shop.rows("SELECT user_id || rank || isbn FROM recommendations ORDER BY 1");
    assert!(before.iter().zip(&after).any(|(before, after)| before == after), "only those lists that had to");
    assert_eq!(shop.call(&["refresh", "--config", config, "--json"]).ok().json()["status"], "unchanged");

    // A new reader, through a backfill.
    shop.sql("INSERT INTO events SELECT 'new', isbn, 'loan' FROM books WHERE author = 'Author 2' AND title LIKE 'Story%' LIMIT 4");
    shop.call(&["backfill", "--config", config]).ok();
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations WHERE user_id = 'new'"), 10);
    all_rules_hold(&shop);

    // A stranger.
    let like = isbn_of(0, 24);
    let told = shop.call(&["recommend", "--like", &like, "--config", config, "--json"]).ok().json();
    let isbns: Vec<&str> =
        told["recommendations"].as_array().unwrap().iter().map(|row| row["isbn"].as_str().unwrap()).collect();
    assert_eq!((isbns.len(), told["liked"][0].as_str()), (10, Some(like.as_str())));
    let shown = isbns.join("', '");
    none(&shop, &format!("SELECT count(*) FROM stock WHERE copies = 0 AND isbn IN ('{shown}')"));
    none(
        &shop,
        &format!(
            "SELECT count(*) FROM (SELECT 1 FROM books WHERE isbn IN ('{shown}') GROUP BY author HAVING count(*) > 3)"
        ),
    );
    none(
        &shop,
        &format!(
            "SELECT count(*) FROM books WHERE isbn IN ('{shown}') AND (title LIKE '%#3%' OR title LIKE '%#4%')"
        ),
    );
}

#[test]
fn lists_from_before_the_rules_are_not_judged_by_them() {
    let (shop, config) = bookshop();
    let config = config.to_str().unwrap();
    let text = std::fs::read_to_string(config).unwrap();
    let (without, _) = text.split_once("[rules]").unwrap();
    let lax = format!("{without}\n[rules]\nper_author = 0\nseries_in_order = false\nlanguage = \"off\"");
    std::fs::write(config, lax).unwrap();
    shop.call(&["run", "--config", config]).ok();
    std::fs::write(config, text).unwrap();
    shop.call(&["check", "--config", config]).ok();
    // As a version before the rules would have left it.
    shop.sql("UPDATE nightshelf_runs SET config = json_remove(config, '$.rules')");
    shop.call(&["check", "--config", config]).ok();
    shop.sql("UPDATE nightshelf_runs SET config = json_set(config, '$.rules', json('{}'))");
    shop.call(&["check", "--config", config]).failed(1, "1 of");
}

#[test]
fn a_query_that_finds_nobody_is_told() {
    let shop = Shop::with_tastes(60, 40, 8);
    // The ids are numbers in the ratings, and texts here.
    let query = "SELECT CAST(user_id AS TEXT), isbn FROM ratings LIMIT 5";
    for section in ["EXCLUDE", "DISLIKES"] {
        let variable = format!("NIGHTSHELF_{section}_QUERY");
        let said = shop.call_with(&["run", "--force"], &[(&variable, query)]).ok().stderr;
        assert!(said.contains("of the same type?"), "{said}");
        let matched = [(variable.as_str(), "SELECT user_id, isbn FROM ratings LIMIT 5")];
        let said = shop.call_with(&["run", "--force"], &matched).ok().stderr;
        assert!(!said.contains("of the same type?"), "{said}");
    }
}

#[test]
fn the_night_tells_what_each_rule_costs() {
    let (shop, config) = bookshop();
    let told = shop.call(&["run", "--config", config.to_str().unwrap(), "--json"]).ok().json();
    let rules = &told["metrics"]["gate"]["rules"];
    let [mean, low, high] = [
        &rules["per_author"]["mean"],
        &rules["per_author"]["interval"][0],
        &rules["per_author"]["interval"][1],
    ]
    .map(|number| number.as_f64().unwrap());
    assert!(low <= mean && mean <= high && mean.abs() < 1.0, "{rules}");
    // Volumes at random say nothing about their order.
    assert!(rules["series_in_order"].is_null(), "{rules}");
    let page = shop.folder.path().join("night.html");
    shop.call(&["report", "--config", config.to_str().unwrap(), "--out", page.to_str().unwrap()]).ok();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("What your own rules cost") && page.contains("<code>per_author</code>"));
}

#[test]
fn a_rollback_puts_all_tables_back() {
    let (shop, config) = bookshop();
    let config = config.to_str().unwrap();
    shop.call(&["run", "--config", config]).ok();
    let all = |table: &str| shop.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2"));
    let before = ["recommendations_similar", "recommendations_popular_by"].map(all);
    shop.sql("DELETE FROM events WHERE reader < 'r200'");
    shop.call(&["run", "--force", "--config", config]).ok();
    assert_ne!(["recommendations_similar", "recommendations_popular_by"].map(all), before);
    shop.call(&["rollback", "--config", config]).ok();
    assert_eq!(["recommendations_similar", "recommendations_popular_by"].map(all), before);
}

#[test]
fn queries_that_do_not_work_are_named_before_anything_is_trained() {
    let shop = Shop::with_tastes(60, 40, 8);
    for (section, query, says) in [
        ("CANDIDATES", "SELECT nothing FROM nowhere", "[candidates]"),
        ("CANDIDATES", "SELECT isbn, rating FROM ratings", "not a SELECT of isbn"),
        ("CANDIDATES", "SELECT 'no such book'", "none of the"),
        ("EXCLUDE", "SELECT isbn FROM ratings", "user and isbn"),
        ("EXCLUDE", "DELETE FROM ratings", "not a SELECT"),
        ("DISLIKES", "SELECT 1", "[dislikes]"),
        ("CATEGORIES", "SELECT isbn FROM ratings", "isbn and category"),
    ] {
        let variable = format!("NIGHTSHELF_{section}_QUERY");
        shop.call_with(&["run"], &[(&variable, query)]).failed(78, says);
    }
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM ratings"), 480);
    shop.night();
}

#[test]
fn ids_are_matched_in_their_own_storage_class() {
    let shop = Shop::with_tastes(60, 40, 8);
    // A reader of the same digits, as a text.
    shop.sql("INSERT INTO ratings SELECT '7', isbn, rating, NULL FROM ratings WHERE user_id = 7");
    shop.night();
    let list = |id: &str| {
        shop.rows(&format!("SELECT isbn FROM recommendations WHERE user_id = {id} AND typeof(user_id) = typeof({id}) ORDER BY rank"))
    };
    let (number, text) = (list("7"), list("'7'"));
    assert_eq!(number, text);
    let query = format!("SELECT 7, '{}'", number[0]);
    shop.call_with(&["run"], &[("NIGHTSHELF_EXCLUDE_QUERY", &query)]).ok();
    assert!(!list("7").contains(&number[0]) && list("'7'").contains(&number[0]));
}

#[test]
fn heavier_events_say_more() {
    // Everybody has visited books of one taste and bought those of another.
    let shop = Shop::empty();
    let mut random = Random(3);
    for reader in 0..120u64 {
        for taste in [reader % 2, 2 + reader / 2 % 2] {
            for _ in 0..8 {
                shop.add(reader as i64, crate::common::isbn(taste * 15 + random.below(15)), 0);
            }
        }
    }
    // One reader of two tastes.
    for (book, weight) in [(0, 0.2), (1, 0.2), (2, 0.2), (30, 3.0), (31, 3.0), (32, 3.0)] {
        shop.sql(&format!("INSERT INTO ratings VALUES (999, '{}', 0, {weight})", crate::common::isbn(book)));
    }
    let of_second = |weight: &str| {
        shop.call_with(
            &["run", "--force"],
            &[
                ("NIGHTSHELF_WEIGHT", weight),
                ("NIGHTSHELF_RATED_AT", ""),
                ("NIGHTSHELF_KIND", "none"),
                ("NIGHTSHELF_NEIGHBOURS", "0"),
            ],
        )
        .ok();
        let isbns: Vec<String> = (30..60).map(crate::common::isbn).collect();
        let second = isbns.join("', '");
        shop.one::<f64>(&format!(
            "SELECT sum(score) FROM recommendations WHERE user_id = 999 AND isbn IN ('{second}')"
        )) / shop.one::<f64>("SELECT sum(score) FROM recommendations WHERE user_id = 999")
    };
    let (alike, weighed) = (of_second(""), of_second("coalesce(rated_at, 1)"));
    assert!(weighed > alike + 0.1, "{weighed} {alike}");
    shop.sql("UPDATE ratings SET rated_at = -1 WHERE user_id = 999 AND rated_at > 1");
    let told = shop.call_with(
        &["run", "--force", "--json"],
        &[("NIGHTSHELF_WEIGHT", "coalesce(rated_at, 1)"), ("NIGHTSHELF_RATED_AT", "")],
    );
    assert_eq!(told.ok().json()["ratings"]["rejected"], 3);
}

#[test]
fn what_readers_pick_up_is_counted_once_and_beside_the_popular_list() {
    let shop = Shop::with_tastes(300, 80, 10);
    shop.night();
    let proof = |report: &serde_json::Value| report["metrics"]["proof"].clone();
    // 40 readers pick up the first and the third of their lists, and 20 of them something else.
    shop.sql(
        "INSERT INTO ratings SELECT user_id, isbn, 8, NULL FROM recommendations WHERE user_id < 40 AND rank IN (1, 3);
         INSERT INTO ratings SELECT user_id, (SELECT isbn FROM ratings r WHERE NOT EXISTS
             (SELECT 1 FROM ratings o WHERE o.user_id = u.user_id AND o.isbn = r.isbn) LIMIT 1), 8, NULL
           FROM (SELECT DISTINCT user_id FROM recommendations WHERE user_id >= 40 AND user_id < 60) u;",
    );
    let new = proof(&shop.night());
    assert_eq!(
        (&new["readers"], &new["picks"], &new["lists"]),
        (&60.into(), &100.into(), &300.into()),
        "{new}"
    );
    let hits = new["hits"].as_u64().unwrap();
    assert!((80..=100).contains(&hits) && new["popular_hits"].as_u64().unwrap() <= 100, "{new}");
    assert!(new["by_rank"][0].as_u64().unwrap() >= 40 && new["by_rank"][2].as_u64().unwrap() >= 40);
    assert_eq!(new["by_source"]["model"].as_u64(), Some(hits));
    // Counted once.
    let again = proof(&shop.night());
    assert_eq!((&again["picks"], &again["hits"]), (&0.into(), &0.into()), "{again}");
    // A backfill counts what it replaces.
    shop.sql("INSERT INTO ratings SELECT user_id, isbn, 8, NULL FROM recommendations WHERE user_id < 10 AND rank = 1");
    let filled = proof(&shop.backfill(&[]));
    assert_eq!((&filled["picks"], &filled["hits"]), (&10.into(), &10.into()), "{filled}");
    assert_eq!(proof(&shop.night())["picks"], 0);
    // After a rollback nobody can tell without times.
    shop.call(&["rollback"]).ok();
    shop.sql("INSERT INTO ratings SELECT user_id, isbn, 8, NULL FROM recommendations WHERE user_id < 10 AND rank = 2");
    assert!(proof(&shop.night()).is_null());
}

#[test]
fn old_ratings_that_are_imported_prove_nothing() {
    let shop = Shop::with_tastes(300, 80, 10);
    shop.sql("UPDATE ratings SET rated_at = datetime('now', '-' || (rowid % 500 + 2) || ' days')");
    shop.night();
    shop.sql(
        "INSERT INTO ratings SELECT user_id, isbn, 8, datetime('now', '-30 days') FROM recommendations WHERE user_id < 40 AND rank = 1;
         INSERT INTO ratings SELECT user_id, isbn, 8, strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM recommendations
          WHERE user_id >= 40 AND user_id < 50 AND rank = 1;",
    );
    let proof = shop.night()["metrics"]["proof"].clone();
    assert_eq!((&proof["picks"], &proof["hits"]), (&10.into(), &10.into()), "{proof}");
}

#[test]
fn what_stands_unread_for_long_gives_way_and_comes_back_with_a_rollback() {
    let shop = Shop::with_tastes(120, 120, 10);
    let night = || shop.call_with(&["run", "--force"], &[("NIGHTSHELF_STALE_AFTER", "2")]).ok();
    let lists = || shop.rows("SELECT user_id, isbn FROM recommendations ORDER BY 1, 2");
    night();
    let first = lists();
    night();
    assert_eq!(lists(), first, "one night before is not too long");
    assert_eq!(shop.one::<i64>("SELECT min(nights) + max(nights) FROM nightshelf_shown"), 2);
    (0..6).for_each(|_| _ = night());
    let later = lists();
    let stayed = later.iter().filter(|row| first.contains(row)).count();
    assert!(stayed * 10 < later.len() * 9, "{stayed} of {}", later.len());
    assert!(stayed * 10 > later.len(), "gently: {stayed} of {}", later.len());
    none(
        &shop,
        "SELECT count(*) FROM (SELECT 1 FROM recommendations GROUP BY user_id HAVING count(*) <> 10)",
    );
    shop.call(&["check"]).ok();
    let shown = || shop.rows("SELECT * FROM nightshelf_shown ORDER BY 1, 2");
    let before = shown();
    night();
    assert_ne!(shown(), before);
    shop.call(&["rollback"]).ok();
    assert_eq!((lists(), shown()), (later, before));
    // A reader who is forgotten is forgotten here, too.
    shop.sql("DELETE FROM ratings WHERE user_id = 7");
    shop.call(&["forget", "--user", "7"]).ok();
    none(&shop, "SELECT count(*) FROM nightshelf_shown WHERE user_id = 7");
    // Without the rule nothing is noted.
    shop.call_with(&["run", "--force"], &[("NIGHTSHELF_STALE_AFTER", "0")]).ok();
    none(&shop, "SELECT count(*) FROM nightshelf_shown");
}
