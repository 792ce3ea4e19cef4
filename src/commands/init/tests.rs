//! Whatever tables a database has, `init` finds readings or says why it does not, and what it writes can be read.

use clap::Parser;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use super::*;
use crate::cli::{Cli, Command};
use crate::database;
use crate::ingest::anything::{Table, some_cases, table};
use crate::interrupt::Interrupt;

const TABLES: [&str; 20] = [
    "users",
    "readers",
    "books",
    "products",
    "editions",
    "copies",
    "ratings",
    "reviews",
    "orders",
    "order_items",
    "loans",
    "old_issues",
    "page_views",
    "wishlist",
    "basket_line",
    "auth_user",
    "catalogue_product",
    "it's \"odd\"",
    "x y",
    "select",
];

/// Tables, of which one may lead to another.
fn tables() -> impl Strategy<Value = Vec<(&'static str, Table, Option<&'static str>)>> {
    let one = (select(TABLES.to_vec()), table(), prop::option::of(select(TABLES.to_vec())));
    prop::collection::vec(one, 1..6)
}

proptest! {
    #![proptest_config(some_cases())]

    #[test]
    fn of_anything_init_writes_what_can_be_read(tables in tables()) {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("shop.db");
        let connection = Connection::open(&db).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        for (name, Table { names, rows }, other) in tables {
            let mut columns: Vec<String> = names.iter().map(|name| database::quote(name)).collect();
            if let Some(other) = other {
                columns.push(format!("{}_id REFERENCES {}", other.trim_end_matches('s').replace(['\'', '"', ' '], ""), database::quote(other)));
            }
            let sql = format!("CREATE TABLE {} (id INTEGER PRIMARY KEY, {})", database::quote(name), columns.join(", "));
            // The name of the column may be taken.
            if connection.execute_batch(&sql).is_err() {
                continue;
            }
            for (number, row) in rows.iter().enumerate() {
                let values: Vec<String> = row.iter().map(|text| match text.parse::<f64>() {
                    Ok(_) if text.len() < 16 && text.chars().all(|c| c.is_ascii_digit() || c == '.') => text.clone(),
                    _ if text.is_empty() => "NULL".into(),
                    _ => format!("'{}'", text.replace('\'', "''")),
                }).collect();
                let led = other.map(|_| format!(", {}", number % 5)).unwrap_or_default();
                let sql = format!("INSERT INTO {} VALUES (NULL, {}{led})", database::quote(name), values.join(", "));
                connection.execute_batch(&sql).unwrap();
            }
        }
        drop(connection);
        let (config, console, interrupt) = (Config::default(), Console::silent(), Interrupt::never());
        let context = Context { config: &config, console: &console, interrupt: &interrupt };
        let out = folder.path().join("nightshelf.toml");
        let words = ["nightshelf".as_ref(), "init".as_ref(), "--db".as_ref(), db.as_os_str(), "--out".as_ref(), out.as_os_str()];
        let Command::Init(args) = Cli::try_parse_from(words).unwrap().command else { panic!("another command") };
        match init(context, &args) {
            Ok(Outcome { text, .. }) => {
                let written = Config::from_toml(&std::fs::read_to_string(&out).unwrap()).unwrap();
                let database = context.open(&db).unwrap();
                let (rows, usable) = source::try_out(&database, &written, ROWS).unwrap();
                prop_assert!(usable == 0 || !rows.is_empty());
                let night = source::read(&database, &written).unwrap();
                prop_assert!(night.rows >= usable, "{} of {usable} rows", night.rows);
                prop_assert!(text.contains("Readings:"), "{text}");
            }
            Err(error) => prop_assert_eq!(error.kind(), Kind::NoRatings, "{}", error),
        }
    }
}
