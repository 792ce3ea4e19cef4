//! Questions at a prompt are answered from what was published and from the model behind it.

use nightshelf::model::ranker::features;
use serde_json::Value;

use crate::common::{Shop, isbn, isbn10};

/// A shop with titles, one of which does its worst.
fn shop() -> Shop {
    let shop = Shop::with_tastes(80, 60, 10);
    shop.sql("CREATE TABLE books (isbn TEXT PRIMARY KEY, title, author, year, publisher)");
    let connection = shop.open();
    for book in 0..60 {
        let title = match book {
            9 => "\u{1b}[31mRed\u{1b}[0m <script>alert(1)</script> 本の e\u{301}l\u{202e}evator".to_owned(),
            other => format!("Book number {other}"),
        };
        let row = (isbn(book), title, format!("Author {}", book % 4));
        connection.execute("INSERT INTO books (isbn, title, author) VALUES (?1, ?2, ?3)", row).unwrap();
    }
    shop
}

fn close(a: &Value, b: f64) {
    let a = a.as_f64().unwrap();
    assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
}

#[test]
fn what_is_predicted_is_what_was_published_and_its_terms_add_up() {
    let shop = shop();
    shop.night();
    for user in [0, 7, 33] {
        let sql = format!(
            "SELECT isbn, score, predicted_rating, because FROM recommendations \
             WHERE user_id = {user} AND source = 'model'"
        );
        let rows = shop.rows(&sql);
        assert!(rows.len() >= 5);
        for (place, row) in rows.iter().enumerate() {
            let [book, score, stars, because] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
            let score: f64 = score.parse().unwrap();
            let pair = ["--user", &user.to_string(), "--isbn", book];
            let predicted = shop.call(&[&["predict", "--json"], &pair[..]].concat()).ok().json();
            close(&predicted["score"], score);
            close(&predicted["predicted_rating"], stars.parse().unwrap());
            assert_eq!(predicted["rank"], place as u64 + 1);
            assert_eq!((&predicted["read"], &predicted["ratings_changed"]), (&false.into(), &false.into()));
            let parts: f64 = predicted["parts"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
            close(&predicted["predicted_rating"], parts.clamp(1.0, 10.0));

            let explained = shop.call(&[&["explain", "--json"], &pair[..]].concat()).ok().json();
            let terms = explained["terms"].as_array().unwrap();
            close(&explained["score"], score);
            for (what, score) in [("adds", "by_factors"), ("neighbours", "by_neighbours")] {
                let (sum, score): (f64, _) = (
                    terms.iter().map(|term| term[what].as_f64().unwrap()).sum(),
                    explained[score].as_f64().unwrap(),
                );
                assert!((sum - score).abs() < 1e-4 * score.abs().max(1.0), "{what}: {sum} {score}");
            }
            close(&explained["sum"], explained["by_factors"].as_f64().unwrap());
            assert_eq!(explained["features"].as_array().unwrap().len(), features::COUNT);
            assert_eq!(terms[0]["isbn"], because, "the first reason is the one in the table");
            let own =
                shop.one::<i64>(&format!("SELECT count(DISTINCT isbn) FROM ratings WHERE user_id = {user}"));
            assert_eq!(terms.len() as i64, own);
        }
    }
}

#[test]
fn stars_add_up_where_lists_are_ordered_by_them() {
    let shop = shop();
    shop.call(&["run", "--objective", "rating", "--force"]).ok();
    let row =
        shop.rows("SELECT isbn, score FROM recommendations WHERE user_id = 5 AND source = 'model' LIMIT 1");
    let (book, score) = row[0].split_once('|').unwrap();
    let explained = shop.call(&["explain", "--json", "--user", "5", "--isbn", book]).ok().json();
    close(&explained["score"], score.parse().unwrap());
    let difference = explained["sum"].as_f64().unwrap() - explained["score"].as_f64().unwrap();
    assert!(difference.abs() < 1e-3, "{explained}");
}

#[test]
fn any_spelling_of_an_isbn_is_understood() {
    let shop = shop();
    shop.call_with(&["run"], &[("NIGHTSHELF_PER_AUTHOR", "0")]).ok();
    let of = |spelling: &str| shop.call(&["similar", "--json", "--isbn", spelling]).ok().json();
    let plain = of(&isbn(4));
    assert_eq!(plain["title"], "Book number 4, Author 0");
    let dashed = format!("ISBN-13: {}-{}", &isbn(4)[..3], &isbn(4)[3..]);
    for spelling in [isbn10(4), dashed, format!(" {} ", isbn(4))] {
        assert_eq!(of(&spelling), plain, "{spelling}");
    }
    let near = plain["similar"].as_array().unwrap();
    assert_eq!(near.len(), 10);
    assert!(near.iter().all(|book| book["isbn"] != plain["isbn"]));
    // Tastes are groups of books by number modulo 4.
    let title = |book: &Value| book["title"].as_str().unwrap().to_owned();
    assert!(near[..5].iter().all(|book| title(book).ends_with("Author 0")), "{plain}");
}

#[test]
fn unknown_readers_and_books_are_said_to_be_so() {
    let shop = shop();
    shop.add("zenobia", isbn(3), 8);
    shop.call(&["recommend", "--user", "1"]).failed(1, "nothing is published");
    shop.night();

    let ran = shop.call(&["recommend", "--user", "zenobio"]).ok();
    assert!(ran.stderr.contains("Nobody here") && ran.stderr.contains("\"zenobia\""), "{}", ran.stderr);
    let json = shop.call(&["recommend", "--user", "zenobio", "--json", "--quiet"]).ok().json();
    assert_eq!((&json["known"], &json["nearest"][0]), (&false.into(), &"zenobia".into()));
    let popular = shop.rows("SELECT isbn FROM recommendations_popular ORDER BY rank LIMIT 10");
    let shown: Vec<&str> =
        json["recommendations"].as_array().unwrap().iter().map(|row| row["isbn"].as_str().unwrap()).collect();
    assert_eq!(shown, popular);

    shop.call(&["predict", "--user", "801", "--isbn", &isbn(3)]).failed(66, "no reader 801");
    let near = shop.call(&["explain", "--user", "7", "--isbn", &isbn(3).replace('3', "4")]);
    assert_eq!(near.code, 66, "{near:?}");
    // Strangers need no model.
    std::fs::remove_dir_all(shop.beside().join("model-1")).unwrap();
    shop.call(&["recommend", "--user", "zenobio"]).ok();
    shop.call(&["predict", "--user", "7", "--isbn", &isbn(3)]).failed(66, "model");
    shop.night();
    // A title is no ISBN, but it is clear what was meant.
    shop.call(&["similar", "--isbn", "book number 44"]).failed(66, &isbn(44));
}

#[test]
fn who_has_ratings_but_no_list_gets_one_for_once() {
    let shop = shop();
    shop.night();
    for book in [0, 4, 8, 12] {
        shop.add(900, isbn(book), 9);
    }
    shop.add(900, isbn(5000), 9);
    let before = shop.rows("SELECT * FROM recommendations");
    let json = shop.call(&["recommend", "--user", "900", "--json"]).ok().json();
    assert_eq!(json["from"], "made now");
    let list = json["recommendations"].as_array().unwrap();
    assert_eq!(list.len(), 10);
    let taste = list.iter().filter(|row| row["title"].as_str().unwrap().ends_with("Author 0")).count();
    assert_eq!(taste, 3, "as many of an author as there may be: {json}");
    assert_eq!(shop.rows("SELECT * FROM recommendations"), before, "nothing is written");
    let explained = shop.call(&["explain", "--json", "--user", "900", "--isbn", &isbn(16)]).ok().json();
    assert_eq!(
        (explained["terms"].as_array().unwrap().len(), &explained["unseen"][0]),
        (4, &isbn(5000).into())
    );
    assert!((explained["sum"].as_f64().unwrap() - explained["by_factors"].as_f64().unwrap()).abs() < 1e-4);

    // Who has read nothing that the model knows gets what is popular.
    shop.add(901, isbn(5001), 9);
    let json = shop.call(&["recommend", "--user", "901", "--json"]).ok().json();
    assert_eq!(
        (&json["from"], &json["recommendations"][0]["source"]),
        (&"made now".into(), &"popular".into())
    );
    let explained = shop.call(&["explain", "--json", "--user", "901", "--isbn", &isbn(16)]).ok().json();
    assert_eq!((explained["terms"].as_array().unwrap().len(), &explained["score"]), (0, &0.0.into()));
    shop.call(&["predict", "--user", "901", "--isbn", &isbn(16)]).ok();
    shop.sql("DELETE FROM ratings WHERE user_id = 901");

    // And it is the list that a backfill publishes.
    shop.backfill(&[]);
    let published = shop.rows("SELECT isbn FROM recommendations WHERE user_id = 900 ORDER BY rank");
    let same = list.iter().filter(|row| published.iter().any(|isbn| row["isbn"] == isbn.as_str())).count();
    assert!(same >= 8, "{published:?} {json}");
}

#[test]
fn titles_are_only_ever_text() {
    let shop = shop();
    shop.night();
    let out = shop.folder.path().join("night.html");
    shop.call(&["report", "--out", out.to_str().unwrap()]).ok();
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert(1)"));
    let ran = shop.call(&["similar", "--isbn", &isbn(9)]).ok();
    assert!(ran.stdout.contains("<script>alert(1)"), "text as it is: {}", ran.stdout);
    assert!(!ran.stdout.contains(['\u{1b}', '\u{202e}']), "{:?}", ran.stdout);
}

#[test]
fn queries_and_typed_columns_give_one_readers_own_ratings() {
    let shop = shop();
    shop.sql(
        "CREATE TABLE typed (who TEXT, book TEXT, stars INTEGER);
         INSERT INTO typed SELECT user_id, isbn, rating FROM ratings;
         INSERT INTO typed SELECT '00' || user_id, isbn, 5 FROM ratings WHERE user_id < 3",
    );
    for query in ["SELECT who, book, stars FROM typed;", "SELECT who, book, stars FROM typed -- all of them"]
    {
        let settings = [("NIGHTSHELF_QUERY", query)];
        let call = |words: &[&str]| shop.call_with(words, &settings);
        call(&["run", "--force"]).ok();
        let own = shop.one::<i64>("SELECT count(DISTINCT isbn) FROM ratings WHERE user_id = 2");
        for user in ["2", "002"] {
            let explained = call(&["explain", "--json", "--user", user, "--isbn", &isbn(30)]).ok().json();
            assert_eq!(explained["terms"].as_array().unwrap().len() as i64, own, "{user}");
            assert_eq!(explained["ratings_changed"], false);
        }
        let rows = shop.one::<i64>("SELECT count(*) FROM typed WHERE who = '002'");
        assert_eq!(call(&["forget", "--user", "002", "--json"]).ok().json()["ratings_left"], rows);
    }
}
