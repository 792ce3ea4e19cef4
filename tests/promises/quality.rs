//! Lists that are better than what anybody could do without a model.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{Ran, Random, Shop, isbn, nightshelf, skipped};

fn evaluate(train: &Path, test: &Path, more: &[&str]) -> Value {
    let mut command = nightshelf();
    command
        .args(["evaluate", "--json", "--device", "cpu", "--train"])
        .arg(train)
        .arg("--test")
        .arg(test)
        .args(more);
    let ran: Ran = command.output().unwrap().into();
    ran.ok().json()
}

fn figure(report: &Value, model: &str, figure: &str) -> f64 {
    let models = report["models"].as_array().unwrap();
    models.iter().find(|entry| entry["name"] == model).unwrap()[figure].as_f64().unwrap()
}

/// Readers with tastes, every fifth rating held out.
fn split(folder: &Path) -> (PathBuf, PathBuf) {
    let (mut train, mut test) = (String::new(), String::new());
    let mut random = Random(5);
    for reader in 0..400u64 {
        for place in 0..15 {
            let group = if random.below(10) < 8 { reader % 5 } else { random.below(5) };
            let book = random.below(30) * random.below(30) / 30 * 5 + group;
            let rating = if group == reader % 5 { 7 + random.below(4) } else { 1 + random.below(6) };
            let line = format!("{reader}\t{}\t{rating}\n", isbn(book));
            if place % 5 == 4 { test.push_str(&line) } else { train.push_str(&line) }
        }
    }
    let paths = (folder.join("train.tsv"), folder.join("test.tsv"));
    std::fs::write(&paths.0, train).unwrap();
    std::fs::write(&paths.1, test).unwrap();
    paths
}

#[test]
fn the_model_beats_the_baselines_on_tastes_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = split(folder.path());
    let report = evaluate(&train, &test, &["--k", "10", "--factors", "16"]);
    for key in ["rmse", "mae", "precision", "recall", "ndcg", "map", "mrr", "hit_rate", "coverage"] {
        let model =
            report["models"].as_array().unwrap().iter().find(|entry| entry["name"] == "nightshelf").unwrap();
        assert!(model[key].is_number(), "{key} in {model}");
    }
    assert_eq!(report["k"], 10);
    let (model, popular) = (figure(&report, "nightshelf", "ndcg"), figure(&report, "popularity", "ndcg"));
    assert!(model > 1.5 * popular, "{model} {popular}");
    let (model, bias) = (figure(&report, "nightshelf", "rmse"), figure(&report, "damped bias", "rmse"));
    assert!(model < bias, "{model} {bias}");
}

#[test]
fn gradient_descent_reaches_what_least_squares_reaches() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = split(folder.path());
    let als = evaluate(&train, &test, &["--factors", "16"]);
    let mut command = nightshelf();
    command
        .args([
            "evaluate",
            "--json",
            "--device",
            "cpu",
            "--solver",
            "adam",
            "--factors",
            "16",
            "--epochs",
            "60",
            "--train",
        ])
        .arg(&train)
        .arg("--test")
        .arg(&test)
        .envs([("NIGHTSHELF_BATCH_SIZE", "512"), ("NIGHTSHELF_RATING_EPOCHS", "40")]);
    let ran: Ran = command.output().unwrap().into();
    let adam = ran.ok().json();
    let ndcg = [&als, &adam].map(|report| figure(report, "nightshelf", "ndcg"));
    assert!(ndcg[1] > 0.85 * ndcg[0], "{ndcg:?}");
    let rmse = [&als, &adam].map(|report| figure(report, "nightshelf", "rmse"));
    assert!(rmse[1] < 1.05 * rmse[0], "{rmse:?}");
}

#[test]
fn on_published_data_the_figures_hold() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let (books, films) = (data.join("bookcrossing-split"), data.join("ml-100k"));
    if !(books.is_dir() && films.is_dir()) {
        return skipped("the published data sets are not on this machine");
    }
    let report = evaluate(&books.join("train.tsv.gz"), &books.join("validation.tsv.gz"), &["--k", "20"]);
    let (recall, ndcg) = (figure(&report, "nightshelf", "recall"), figure(&report, "nightshelf", "ndcg"));
    assert!(recall >= 0.078 && ndcg >= 0.060, "{recall} {ndcg}");
    let report = evaluate(&films.join("u1.base"), &films.join("u1.test"), &["--key", "text"]);
    let rmse = figure(&report, "nightshelf", "rmse");
    assert!(rmse < 0.945, "{rmse}");
}

/// Readers who each love a few authors, of whom each has many little-read books; every fifth rating
/// held out, and a file of the books.
fn split_by_author(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let (mut train, mut test) = (String::new(), String::new());
    let mut books = "isbn;title;author;year;publisher\n".to_owned();
    let (authors, each) = (60, 12);
    for book in 0..authors * each {
        // In several spellings, as catalogues have them.
        let author = match book % 3 {
            0 => format!("Writer N{}", book / each),
            1 => format!("N{}, Writer", book / each),
            _ => format!("WRITER N{}", book / each),
        };
        books.push_str(&format!("{};Book {book};{author};1999;Press {}\n", isbn(book), book % 7));
    }
    let mut random = Random(11);
    for reader in 0..500u64 {
        let loved: Vec<u64> = (0..2).map(|_| random.below(authors)).collect();
        for place in 0..8 {
            let book = match random.below(10) {
                0..8 => loved[place % 2] * each + random.below(each),
                _ => random.below(authors * each),
            };
            let line = format!("{reader}\t{}\t0\n", isbn(book));
            if place % 5 == 4 { test.push_str(&line) } else { train.push_str(&line) }
        }
    }
    let paths = (folder.join("train.tsv"), folder.join("test.tsv"), folder.join("books.csv"));
    std::fs::write(&paths.0, train).unwrap();
    std::fs::write(&paths.1, test).unwrap();
    std::fs::write(&paths.2, books).unwrap();
    paths
}

#[test]
fn variants_stand_beside_the_model_and_say_how_sure_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = split(folder.path());
    let flags = ["--factors", "16", "--k", "5,10", "--compare", "factors=1", "--compare", "solver = sgd"];
    let report = evaluate(&train, &test, &flags);
    let models = report["models"].as_array().unwrap();
    let names: Vec<&str> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
    let once = [
        "popularity",
        "item-kNN",
        "damped bias",
        "factors",
        "neighbours",
        "blend",
        "nightshelf",
        "factors=1",
        "solver = sgd",
    ];
    assert_eq!(names, once.iter().flat_map(|name| [*name, *name]).collect::<Vec<_>>());
    assert!(figure(&report, "nightshelf", "ndcg") > figure(&report, "factors=1", "ndcg"));
    assert!(figure(&report, "item-kNN", "recall") > figure(&report, "popularity", "recall"));
    assert!(figure(&report, "item-kNN", "novelty") > figure(&report, "popularity", "novelty"));
    for model in models.iter().filter(|model| model["ndcg"].is_number()) {
        for name in ["precision", "recall", "ndcg", "map", "mrr", "hit_rate"] {
            let (value, ends) = (model[name].as_f64().unwrap(), &model["intervals"][name]);
            let (low, high) = (ends[0].as_f64().unwrap(), ends[1].as_f64().unwrap());
            assert!(low <= value && value <= high && low < high, "{name} of {model}");
        }
        let readers: u64 = model["by_activity"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["readers"].as_u64().unwrap())
            .sum();
        let held_out: u64 = model["by_popularity"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["held_out"].as_u64().unwrap())
            .sum();
        assert_eq!(readers, 400);
        assert!(held_out > 1000, "{held_out}");
    }
    let refused = |words: &str, expected: &str| {
        let mut command = nightshelf();
        command.args(["evaluate", "--train"]).arg(&train).arg("--test").arg(&test);
        let ran: Ran = command.args(["--compare", words]).output().unwrap().into();
        ran.failed(78, expected);
    };
    refused("factors", "there is no =");
    refused("facors=8", "did you mean factors?");
    refused("factors=many", "whole number");
    refused("key=text", "changes what is measured");
    let mut command = nightshelf();
    command.args(["evaluate", "--k", "0", "--train"]).arg(&train).arg("--test").arg(&test);
    Ran::from(command.output().unwrap()).failed(2, "from 1");
}

#[test]
fn books_of_one_author_find_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test, books) = split_by_author(folder.path());
    let books = books.to_str().unwrap();
    let plain = evaluate(&train, &test, &["--factors", "64"]);
    let with_books = evaluate(&train, &test, &["--factors", "64", "--books", books]);
    let [plain, with_books] = [plain, with_books].map(|report| figure(&report, "nightshelf", "recall"));
    assert!(with_books > 1.2 * plain, "{with_books} {plain}");
}

#[test]
fn made_up_readers_are_in_no_table_and_no_count() {
    let shop = Shop::with_tastes(60, 40, 8);
    let plain = shop.night();
    let popular = shop.rows("SELECT rank, isbn, score FROM recommendations_popular");
    shop.sql(
        "CREATE TABLE books (isbn, title, author, publisher);
         INSERT INTO books SELECT DISTINCT isbn, 'Title ' || isbn, 'Author ' || (isbn % 7), 'Press' FROM ratings",
    );
    // Whose books stand how often in the popular list is a rule, and no count.
    let as_many_as_there_are = [("NIGHTSHELF_PER_AUTHOR", "0")];
    let run = || shop.call_with(&["run", "--json"], &as_many_as_there_are);
    let ran = run().ok();
    assert!(ran.stderr.contains("authors and 1 publishers"), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!(report["status"], "published", "the books are news");
    assert_eq!((&report["users"], &report["items"]), (&plain["users"], &plain["items"]));
    assert_ne!(report["metrics"]["loss"], plain["metrics"]["loss"]);
    assert_eq!(shop.one::<i64>("SELECT count(DISTINCT user_id) FROM recommendations"), 60);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM nightshelf_readers"), 60);
    assert_eq!(shop.rows("SELECT rank, isbn, score FROM recommendations_popular"), popular);
    shop.keeps_its_promises(10);
    assert_eq!(run().ok().json()["status"], "unchanged");
    // What a backfill makes of them agrees with the night, and a new book has an author, too.
    let names = shop.folder.path().join("names");
    std::fs::write(&names, "3\n4\n").unwrap();
    let lists = "SELECT user_id, rank, isbn, because FROM recommendations WHERE user_id IN (3, 4)";
    let before = shop.rows(lists);
    shop.backfill(&["--users", names.to_str().unwrap()]);
    assert_eq!(shop.rows(lists), before);
    shop.sql(&format!("INSERT INTO books VALUES ('{}', 'New', 'Author 3', 'Press')", isbn(900)));
    shop.add(3, isbn(900), 9);
    assert_eq!(shop.backfill(&[])["metrics"]["new_items"], 1);
    shop.keeps_its_promises(10);
    shop.sql("UPDATE books SET author = 'Author 1' WHERE author = 'Author 2'");
    assert_eq!(run().ok().json()["status"], "published");
    assert_eq!(run().ok().json()["status"], "unchanged");
    shop.sql("UPDATE books SET author = 'Author 3' WHERE author = 'Author 1'");
    assert_eq!(run().ok().json()["status"], "published", "who wrote it matters");
    let without = [("NIGHTSHELF_AUTHOR_WEIGHT", "0"), ("NIGHTSHELF_PUBLISHER_WEIGHT", "0")];
    let ran = shop.call_with(&["run", "--json"], &without).ok();
    assert!(!ran.stderr.contains("authors"), "{}", ran.stderr);
}

#[test]
fn a_database_is_split_in_every_way_that_there_is() {
    let shop = Shop::with_tastes(300, 150, 12);
    let split = |words: &[&str]| shop.call(&[&["evaluate", "--json", "--k", "10"], words].concat());
    for (words, kind) in [
        (&["--split", "random", "--share", "0.1"][..], "random"),
        (&["--split", "leave-one-out"], "leave-one-out"),
        (&["--split", "users"], "users"),
        (&[], "random"),
    ] {
        let report = split(words).ok().json();
        assert_eq!(report["split"]["kind"], kind);
        let (train, test) = (&report["split"]["train_ratings"], &report["split"]["test_ratings"]);
        assert!(train.as_u64() > test.as_u64() && test.as_u64() > Some(0), "{}", report["split"]);
        let ndcg = [figure(&report, "nightshelf", "ndcg"), figure(&report, "popularity", "ndcg")];
        assert!(ndcg[0] > ndcg[1], "{kind}: {ndcg:?}");
        let rmse = [figure(&report, "nightshelf", "rmse"), figure(&report, "damped bias", "rmse")];
        assert!(rmse[0] < rmse[1], "{kind}: {rmse:?}");
    }
    split(&["--split", "time"]).failed(65, "rated_at");
    split(&["--split", "leave-last"]).failed(65, "rated_at");
    split(&["--share", "1.5"]).failed(2, "between 0 and 1");
    split(&["--split", "by-moon"]).failed(2, "leave-one-out");
    // The same split for the same seed, another for another.
    let again = |seed: &str| split(&["--split-seed", seed]).ok().json()["models"].clone();
    assert_eq!(again("1"), again("1"));
    assert_ne!(again("1"), again("2"));
    shop.sql("UPDATE ratings SET rated_at = 1700000000 + rowid * 60");
    for words in [&["--split", "time"][..], &["--split", "leave-last", "--last", "2"]] {
        let report = split(words).ok().json();
        assert_eq!(report["split"]["kind"], words[1]);
    }
    let nothing: Ran = nightshelf().arg("evaluate").output().unwrap().into();
    nothing.failed(66, "--db");
}

#[test]
fn hidden_books_are_found_by_their_authors() {
    let folder = tempfile::tempdir().unwrap();
    let (train, _, books) = split_by_author(folder.path());
    let shop = Shop::empty();
    shop.command(&["import"]).arg(&train).arg(&books).output().map(Ran::from).unwrap().ok();
    let report = shop.call(&["evaluate", "--json", "--split", "new-books", "--k", "20"]).ok().json();
    let hits = |model: &str| figure(&report, model, "hit_rate");
    assert!(hits("nightshelf") > 3.0 * hits("random").max(hits("popularity")), "{report}");
    assert_eq!(hits("popularity"), 0.0, "nobody has read them");
}
