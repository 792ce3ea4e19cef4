use rusqlite::Connection;

use super::*;
use crate::interrupt::Interrupt;

const SOME: &str = "user_id,isbn,rating\n8,0002005018,5\n007,0002005018,\nann,x,7\n8,0002005018,6\n";

struct Shop(tempfile::TempDir);

impl Shop {
    fn new(sql: &str) -> Self {
        let shop = Self(tempfile::tempdir().unwrap());
        shop.connection().execute_batch(sql).unwrap();
        shop
    }

    fn connection(&self) -> Connection {
        Connection::open(self.0.path().join("shop.db")).unwrap()
    }

    fn list(&self, sql: &str) -> Vec<String> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    fn import(&self, text: &str, config: &Config) -> Result<Loaded> {
        let file = self.0.path().join("some.csv");
        if !file.exists() {
            std::fs::write(&file, text).unwrap();
        }
        let db = self.0.path().join("shop.db");
        let (console, interrupt) = (Console::silent(), Interrupt::never());
        let context = Context { config, console: &console, interrupt: &interrupt };
        let (files, hints) = ([file], Hints::default());
        load(context, &db, Request { files: &files, hints: &hints, restart: false })
    }
}

#[test]
fn rows_arrive_once_and_ids_keep_their_spelling() {
    let shop = Shop::new("");
    for _ in 0..2 {
        let told = shop.import(SOME, &Config::default()).unwrap();
        let FileSummary { written, updated, left_alone, .. } = &told.files[0];
        assert_eq!(written + updated + left_alone, 4);
        let rows =
            shop.list("SELECT typeof(user_id) || user_id || isbn || rating FROM ratings ORDER BY rowid");
        assert_eq!(rows, ["integer800020050186.0", "text00700020050180.0", "textannx7.0"]);
    }
}

#[test]
fn what_is_rejected_is_counted_and_kept() {
    let shop = Shop::new("");
    let text = "user_id,isbn,rating\n8,1,5\n,1,5\n8,NULL,5\n8,2,bad\n8,3\n8,4,5,6\n8,5,5,\n";
    let told = shop.import(text, &Config::default()).unwrap();
    let reasons =
        ["missing_isbn", "missing_user", "rating_not_a_number", "too_few_fields", "too_many_fields"];
    assert_eq!(shop.list("SELECT reason FROM nightshelf_rejects ORDER BY reason"), reasons);
    assert!(reasons.iter().all(|reason| told.files[0].rejected[*reason] == 1));
    assert_eq!(told.files[0].written, 2);
    let only_bad = Shop::new("").import("user_id,isbn,rating\n8,1,bad\n", &Config::default());
    assert_eq!(only_bad.unwrap().failure.unwrap().kind(), Kind::NoRatings);
}

#[test]
fn a_cut_off_import_goes_on_and_a_finished_one_starts_anew() {
    let shop = Shop::new("");
    shop.import(SOME, &Config::default()).unwrap();
    let cut_off = "UPDATE nightshelf_imports SET records = 2, finished = 0; DELETE FROM ratings";
    shop.connection().execute_batch(cut_off).unwrap();
    let told = shop.import(SOME, &Config::default()).unwrap();
    assert_eq!(told.files[0].resumed_at, Some(2));
    assert_eq!(told.files[0].records, 4);
    assert_eq!(shop.list("SELECT isbn FROM ratings ORDER BY rowid"), ["x", "0002005018"]);
    let told = shop.import(SOME, &Config::default()).unwrap();
    assert!(told.files[0].resumed_at.is_none());
    assert_eq!(shop.list("SELECT isbn FROM ratings").len(), 3);
}

#[test]
fn a_table_of_other_names_and_without_an_index_is_served() {
    let shop = Shop::new("CREATE TABLE marks (reader TEXT, isbn TEXT, stars INTEGER)");
    let mut config = Config::default();
    config.source.table = "marks".into();
    config.source.user = "reader".into();
    config.source.rating = "stars".into();
    let text = "user,isbn,rating,timestamp\n8,1,5,77\n8,1,4,78\n9,1,3,79\n";
    for _ in 0..2 {
        shop.import(text, &config).unwrap();
        let rows = shop.list("SELECT typeof(reader) || reader || isbn || stars FROM marks");
        assert_eq!(rows, ["text814", "text913"]);
    }
}

#[test]
fn a_row_that_the_table_refuses_stops_nothing() {
    let shop =
        Shop::new("CREATE TABLE ratings (user_id, isbn, rating CHECK (rating > 0), UNIQUE (isbn, user_id))");
    let told = shop.import(SOME, &Config::default()).unwrap();
    assert_eq!(told.files[0].rejected, BTreeMap::from([("refused_by_table".to_owned(), 1)]));
    assert_eq!((told.files[0].written, told.files[0].updated), (2, 1));
}

#[test]
fn a_query_and_a_view_are_refused() {
    let mut config = Config::default();
    config.source.query = "SELECT 1, 2, 3".into();
    assert_eq!(Shop::new("").import(SOME, &config).unwrap_err().kind(), Kind::Config);
    let view = Shop::new("CREATE VIEW ratings AS SELECT 1 AS user_id, 2 AS isbn, 3 AS rating");
    assert_eq!(view.import(SOME, &Config::default()).unwrap_err().kind(), Kind::Config);
}
