//! Lists follow what is read now, how books are marked, and what is known of readers.

use serde_json::Value;

use crate::common::{Random, Shop, isbn, nightshelf};

/// The figure of a model in a report of `evaluate`.
fn figure(report: &Value, model: &str, name: &str) -> f64 {
    let models = report["models"].as_array().expect("models");
    let found = models.iter().find(|row| row["name"] == model).expect("the model");
    found[name].as_f64().expect("a number")
}

/// A shop whose books come into fashion one after the other: in each of 40 weeks everybody reads some of that week's own
/// books, and the books of their taste that they read in the first week are never read again.
fn fashions() -> Shop {
    let shop = Shop::empty();
    let (mut connection, mut random) = (shop.open(), Random(7));
    let transaction = connection.transaction().unwrap();
    for week in 0..40u64 {
        for reader in 0..250u64 {
            let taste = reader % 2;
            for _ in 0..2 {
                let book = week * 6 + taste * 3 + random.below(3);
                let day = week * 7 + random.below(7);
                let moment = 1_600_000_000 + day * 86_400;
                let row = (reader as i64, isbn(book), 8, moment as i64);
                transaction.execute("INSERT INTO ratings VALUES (?1, ?2, ?3, ?4)", row).unwrap();
            }
        }
    }
    transaction.commit().unwrap();
    shop
}

#[test]
fn a_shop_whose_tastes_move_is_served_by_what_is_read_now() {
    let shop = fashions();
    // The newest ratings are held out without being asked.
    let evaluate = |environment: &[(&str, &str)]| {
        let report = shop.call_with(&["evaluate", "--json", "--k", "10"], environment).ok().json();
        assert_eq!(report["split"]["kind"], "time");
        report
    };
    let now = evaluate(&[]);
    // The same shop without times.
    let timeless = Shop::empty();
    let attach = |sql: &str| {
        let connection = timeless.open();
        connection.execute("ATTACH ?1 AS other", [shop.path.to_str().unwrap()]).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    attach("INSERT INTO ratings SELECT user_id, isbn, rating, NULL FROM other.ratings");
    timeless.night();
    shop.night();
    let newest = "SELECT avg(isbn IN (SELECT isbn FROM ratings WHERE rated_at > 1600000000 + 210 * 86400))
                  FROM recommendations";
    let share = shop.one::<f64>(newest);
    let (mine, theirs) = (
        shop.rows("SELECT isbn FROM recommendations_popular ORDER BY rank LIMIT 3"),
        timeless.rows("SELECT isbn FROM recommendations_popular ORDER BY rank LIMIT 3"),
    );
    attach(
        "UPDATE ratings SET rated_at = (SELECT rated_at FROM other.ratings AS r
         WHERE r.user_id = ratings.user_id AND r.isbn = ratings.isbn)",
    );
    let blind = timeless.one::<f64>(newest);
    assert!(
        share > 2.0 * blind.max(0.1),
        "{share} of the lists is of the last weeks, and {blind} without times"
    );
    assert_ne!(mine, theirs);
    assert!(figure(&now, "popularity", "recall") >= 0.0);
    shop.keeps_its_promises(10);
}

#[test]
fn files_with_times_are_split_in_time_if_the_held_out_part_is_newer() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, from: u64, until: u64| {
        let path = folder.path().join(name);
        let mut text = "user_id,isbn,rating,rated_at\n".to_owned();
        let mut random = Random(3);
        for day in from..until {
            for reader in 0..40u64 {
                let book = isbn(day / 10 * 5 + random.below(5));
                text += &format!("{reader},{book},5,{}\n", 1_600_000_000 + day * 86_400);
            }
        }
        std::fs::write(&path, text).unwrap();
        path
    };
    let popularity = |train: &std::path::Path, test: &std::path::Path| {
        let mut command = nightshelf();
        command.args(["evaluate", "--json", "--device", "cpu", "--k", "5", "--factors", "4", "--train"]);
        let ran: crate::common::Ran = command.arg(train).arg("--test").arg(test).output().unwrap().into();
        figure(&ran.ok().json(), "popularity", "recall")
    };
    let (old, new, mixed) = (file("old.csv", 0, 95), file("new.csv", 95, 100), file("mixed.csv", 50, 100));
    // In the days before the cut, everybody read the very books that are read after it.
    assert!(popularity(&old, &new) > 0.3);
    // Where some of what is held out is older, what was read of late foretells nothing: books are equally popular then.
    assert!(popularity(&old, &mixed) < 0.3);
}

#[test]
fn what_readers_mark_low_leads_no_list() {
    let shop = Shop::with_tastes(200, 60, 8);
    // A book that was given away: more readers than any other, and most marked it badly.
    let given = isbn(999);
    shop.sql(&format!(
        "UPDATE ratings SET rating = 7 + rowid % 3;
         INSERT INTO ratings (user_id, isbn, rating)
             SELECT user_id, '{given}', 1 + user_id % 2 FROM (SELECT DISTINCT user_id FROM ratings) WHERE user_id % 4 > 0"
    ));
    shop.night();
    let place = |table: &str, which: &str| -> Option<i64> {
        shop.one(&format!("SELECT {which}(rank) FROM {table} WHERE isbn = '{given}'"))
    };
    assert_eq!(place("recommendations", "min").filter(|rank| *rank < 10), None, "others are left to show");
    let readers: i64 = shop.one("SELECT max(n) FROM (SELECT count(*) AS n FROM ratings GROUP BY isbn)");
    assert_eq!(readers, shop.one::<i64>(&format!("SELECT count(*) FROM ratings WHERE isbn = '{given}'")));
    let last: i64 = shop.one("SELECT max(rank) FROM recommendations_popular");
    assert!(place("recommendations_popular", "min").is_none_or(|rank| rank == last));
    shop.call(&["check"]).ok();
    shop.keeps_its_promises(10);
    let liked = |report: &Value| figure(report, "nightshelf", "liked");
    let report = shop.call(&["evaluate", "--json", "--k", "10"]).ok().json();
    assert!(liked(&report) > 0.0 && liked(&report) <= figure(&report, "nightshelf", "recall"));
    let night: String = shop.one("SELECT metrics FROM nightshelf_runs ORDER BY run_id DESC LIMIT 1");
    assert!(serde_json::from_str::<Value>(&night).unwrap()["liked"].as_f64() > Some(0.0), "{night}");
}

#[test]
fn readers_without_ratings_get_what_their_like_read() {
    let shop = Shop::with_tastes(400, 60, 8);
    shop.sql(
        "CREATE TABLE members (id INTEGER PRIMARY KEY, town TEXT, born INTEGER, password TEXT);
         INSERT INTO members SELECT user_id, CASE user_id % 4 WHEN 1 THEN 'Oslo' ELSE 'Bergen' END, 1950 + user_id % 50, 'secret'
             FROM (SELECT DISTINCT user_id FROM ratings);
         INSERT INTO members VALUES (9001, 'Oslo', 1980, 'x'), (9002, 'Bergen', 1980, 'x'), (9003, NULL, NULL, 'x')",
    );
    let settings = [("NIGHTSHELF_READERS", "members"), ("NIGHTSHELF_ATTRIBUTES", "town, born")];
    let said = shop.call_with(&["run"], &settings).ok().stderr;
    assert!(said.contains("3 without ratings in members, 400 with"), "{said}");
    shop.call(&["check"]).ok();
    // A newcomer between two nights.
    shop.sql("INSERT INTO members VALUES (9004, 'Oslo', 1980, 'x')");
    shop.call_with(&["backfill"], &settings).ok();
    let checked = shop.call_with(&["check"], &settings).ok().stdout;
    assert!(!checked.contains("have changed"), "{checked}");
    let list = |reader: u64| {
        shop.rows(&format!("SELECT isbn FROM recommendations WHERE user_id = {reader} ORDER BY rank"))
    };
    assert_eq!([9001, 9002, 9003, 9004].map(|reader| list(reader).len()), [10; 4]);
    // Readers of taste u % 4 = 1 live in Oslo: of books by taste, theirs are every fourth from the second on.
    let of_oslo: Vec<String> = (0..60).filter(|book| book % 4 == 1).map(isbn).collect();
    let share = |reader: u64| list(reader).iter().filter(|isbn| of_oslo.contains(isbn)).count();
    assert!(share(9001) > 6 && share(9002) < 4, "{} and {}", share(9001), share(9002));
    let popular = shop.rows("SELECT isbn FROM recommendations_popular ORDER BY rank LIMIT 10");
    assert_eq!(list(9003), popular, "of whom nothing is known");
    // Whoever is forgotten, and stands in the table, would come back.
    let said = shop.call_with(&["forget", "--user", "9003"], &settings).ok().stderr;
    assert!(said.contains("the table members of readers still has this one"), "{said}");
    // A word that is no column, and a table that is not there.
    shop.call_with(&["run"], &[("NIGHTSHELF_READERS", "people")]).failed(78, "people");
    let wrong = [("NIGHTSHELF_READERS", "members"), ("NIGHTSHELF_ATTRIBUTES", "shoe_size")];
    shop.call_with(&["run"], &wrong).failed(78, "shoe_size");
    let strangers = [("NIGHTSHELF_READERS", "members"), ("NIGHTSHELF_READER", "password")];
    let said = shop.call_with(&["run", "--dry-run"], &strangers).ok().stderr;
    assert!(said.contains("no reader of the ratings is in members"), "{said}");
    // What changes in the table is another night's work.
    let again = |words: &[&str]| shop.call_with(words, &settings).ok();
    again(&["run"]);
    assert!(again(&["run", "--json"]).stdout.contains("unchanged"));
    shop.sql("UPDATE members SET town = 'Oslo' WHERE id % 4 = 2");
    assert!(!again(&["run", "--json"]).stdout.contains("unchanged"));
}
