//! Very small, very even, or lopsided data: everything that is legal works.

use crate::common::{Shop, isbn};

/// Runs a night with every combination of objective and solver that the data allows.
fn works(shop: &Shop, rated: bool) {
    for solver in ["als", "adam", "sgd"] {
        let flags = ["run", "--solver", solver, "--epochs", "3"];
        let more = [("NIGHTSHELF_RATING_EPOCHS", "3"), ("NIGHTSHELF_LEARNING_RATE", "0.001")];
        shop.call_with(&flags, &more).ok();
        shop.keeps_its_promises(10);
        let flags = [&flags[..], &["--objective", "rating"]].concat();
        let by_stars = shop.call_with(&flags, &more);
        if rated {
            by_stars.ok();
            shop.keeps_its_promises(10);
            let rises: i64 = shop.one(
                "SELECT count(*) FROM recommendations WHERE source = 'model'
                  AND abs(min(max(score, 1), 10) - predicted_rating) > 0.01
                  AND (SELECT max(rating) FROM ratings) = 10 AND (SELECT min(rating) FROM ratings WHERE rating > 0) = 1",
            );
            assert_eq!(rises, 0, "the score is the expected rating");
        } else {
            by_stars.failed(65, "all rows are implicit");
        }
    }
}

#[test]
fn one_reader_and_one_book() {
    let shop = Shop::empty();
    shop.add(1, isbn(1), 8);
    works(&shop, true);
    assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), 0, "there is nothing else to read");
    shop.call(&["check"]).ok();
    shop.add(2, isbn(2), 8);
    shop.night();
    assert_eq!(shop.rows("SELECT user_id, isbn, source FROM recommendations").len(), 2);
}

#[test]
fn one_reader_many_books_and_one_book_many_readers() {
    let reader = Shop::empty();
    for book in 0..30 {
        reader.add("the only one", isbn(book), (book % 10 + 1) as i64);
    }
    works(&reader, true);
    let book = Shop::empty();
    for user in 0..30 {
        book.add(user, isbn(1), user % 10 + 1);
    }
    works(&book, true);
}

#[test]
fn more_factors_than_books() {
    let shop = Shop::with_tastes(12, 8, 3);
    shop.call(&["run", "--factors", "100"]).ok();
    shop.keeps_its_promises(10);
    shop.call(&["check"]).ok();
}

#[test]
fn all_ratings_equal_only_rated_only_implicit() {
    for (set, rated) in [("5", true), ("max(rating, 1)", true), ("0", false)] {
        let shop = Shop::with_tastes(40, 32, 6);
        shop.sql(&format!("UPDATE ratings SET rating = {set}"));
        works(&shop, rated);
    }
}

#[test]
fn readers_of_whom_nothing_is_known_get_what_is_popular() {
    let shop = Shop::with_tastes(100, 40, 10);
    // A reader of a book that nobody else has read.
    shop.add("lonely", isbn(5000), 0);
    shop.call_with(&["run"], &[("NIGHTSHELF_EPOCHS", "16")]).ok();
    let list = shop.rows(
        "SELECT isbn, source, score, because FROM recommendations WHERE user_id = 'lonely' ORDER BY rank",
    );
    let popular = shop.rows("SELECT isbn FROM recommendations_popular WHERE rank <= 10 ORDER BY rank");
    let expected: Vec<String> = popular.iter().map(|isbn| format!("{isbn}|popular|0|NULL")).collect();
    assert_eq!(list, expected);
    shop.keeps_its_promises(10);
}

#[test]
fn numbers_that_run_away_stop_the_night() {
    let shop = Shop::with_tastes(60, 40, 10);
    shop.night();
    let lists = shop.rows("SELECT * FROM recommendations");
    let away = [("NIGHTSHELF_LEARNING_RATE", "1e30")];
    shop.call_with(&["run", "--solver", "sgd"], &away).failed(1, "ran away").ok_stage("training");
    assert!(shop.rows("SELECT * FROM recommendations") == lists);
}

impl crate::common::Ran {
    #[track_caller]
    fn ok_stage(self, stage: &str) {
        assert!(self.stderr.contains(stage), "the stage is named: {}", self.stderr);
    }
}
