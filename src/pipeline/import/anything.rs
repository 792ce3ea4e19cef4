//! Whatever a file holds, its rows arrive or it is an error.
//!
//! Some files each time; `PROPTEST_CASES=1000000 cargo test --release --no-default-features --lib anything` tries more of
//! them, for an hour and longer.

use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::ingest::anything::{Damage, Form, Package, Table, damage, form, package, some_cases, table};
use crate::interrupt::Interrupt;

/// Imports a file into a database of its own; where it stands, and what was said.
fn import(folder: &Path, name: &str, bytes: &[u8], user: Option<&str>) -> Result<Loaded> {
    let file = folder.join(name);
    std::fs::write(&file, bytes).unwrap();
    let config = Config::default();
    let (console, interrupt) = (Console::silent(), Interrupt::never());
    let context = Context { config: &config, console: &console, interrupt: &interrupt };
    let hints = Hints { user: user.map(str::to_owned), ..Hints::default() };
    load(context, &folder.join("shop.db"), Request { files: &[file], hints: &hints, restart: false })
}

/// All rows of both tables, with their types.
fn rows(folder: &Path) -> Vec<String> {
    let connection = Connection::open(folder.join("shop.db")).unwrap();
    let mut all = Vec::new();
    for (table, columns) in
        [("ratings", "user_id, isbn, rating"), ("books", "isbn, title, author, year, publisher")]
    {
        let columns = format!("quote({})", columns.replace(", ", ") || ' ' || quote("));
        let Ok(mut statement) = connection.prepare(&format!("SELECT {columns} FROM {table}")) else {
            continue;
        };
        let found = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.extend(found.map(|row| format!("{table} {}", row.unwrap())));
    }
    all.sort_unstable();
    all
}

/// What must hold of any import.
fn is_sound(folder: &Path, outcome: &Result<Loaded>) -> std::result::Result<(), TestCaseError> {
    let there = rows(folder);
    match outcome {
        Ok(loaded) => {
            let mut written = 0;
            for FileSummary { records, written: new, updated, left_alone, rejected, .. } in &loaded.files {
                prop_assert_eq!(
                    *records,
                    new + updated + left_alone + rejected.values().sum::<u64>(),
                    "{:?}",
                    loaded
                );
                written += new;
            }
            prop_assert_eq!(written, there.len() as u64, "{:?}", there);
            let nobody = there.iter().find(|row| row.starts_with("ratings ") && row.contains(" '' "));
            prop_assert!(nobody.is_none(), "{nobody:?}");
        }
        Err(error) => {
            let expected = [Kind::Config, Kind::NoRatings, Kind::Io, Kind::NoInput];
            prop_assert!(expected.contains(&error.kind()), "{error}");
            prop_assert!(there.is_empty() || error.kind() == Kind::Io, "{error}, and yet {there:?}");
            prop_assert!(!error.to_string().is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(some_cases())]

    #[test]
    fn damaged_files_are_errors_or_what_is_left_of_them(
        table in table(),
        form in form(),
        package in package(),
        inside in damage(),
        outside in damage(),
        user in prop::option::weighted(0.3, Just("ann")),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = form.write(&table);
        inside.iter().for_each(|damage: &Damage| damage.happen(&mut bytes));
        let name = format!("some.{}", form.ending());
        let mut bytes = package.pack(&name, bytes);
        outside.iter().for_each(|damage| damage.happen(&mut bytes));
        let outcome = import(folder.path(), &name, &bytes, user);
        is_sound(folder.path(), &outcome)?;
        // A second time nothing is new.
        if outcome.is_ok() {
            let before = rows(folder.path());
            let again = import(folder.path(), &name, &bytes, user).unwrap();
            prop_assert_eq!(again.files.iter().map(|file| file.written).sum::<u64>(), 0);
            prop_assert_eq!(rows(folder.path()).len(), before.len());
        }
    }

    #[test]
    fn a_table_says_the_same_in_every_form(table in table(), one in form(), other in form()) {
        let said = |form: &Form, package: Package| {
            let folder = tempfile::tempdir().unwrap();
            let name = format!("some.{}", form.ending());
            // A workbook is a package itself.
            let package = if matches!(form, Form::Workbook) { Package::Plain } else { package };
            let outcome = import(folder.path(), &name, &package.pack(&name, form.write(&table)), Some("ann"));
            is_sound(folder.path(), &outcome)?;
            Ok::<_, TestCaseError>(match outcome {
                Ok(Loaded { failure: None, .. }) => Some(rows(folder.path())),
                // Where little tells, what an error says may differ.
                _ => None,
            })
        };
        let Table { names, rows } = &table;
        prop_assert_eq!(said(&one, Package::Plain)?, said(&other, Package::Gzip)?, "{:?} {:?}", names, rows);
    }
}
