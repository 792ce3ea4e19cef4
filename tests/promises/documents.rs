//! The documents say what the program does.

use std::path::Path;

use crate::common::{Ran, Shop, nightshelf};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn help(words: &[&str]) -> String {
    let ran: Ran = nightshelf().args(words).arg("--help").output().unwrap().into();
    ran.ok().stdout
}

#[test]
fn every_command_and_flag_is_in_the_readme() {
    let readme = read("README.md");
    let overview = help(&[]);
    let commands: Vec<&str> = overview
        .split("Commands:")
        .nth(1)
        .unwrap()
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        assert!(
            readme.contains(&format!("`{command}")) || readme.contains(&format!("nightshelf {command}")),
            "{command}"
        );
        for word in help(&[command]).split(|c: char| !(c.is_alphanumeric() || c == '-')) {
            let flag = word.starts_with("--") && word.len() > 3;
            assert!(!flag || readme.contains(word), "{word} of {command} is not in the README");
        }
    }
}

#[test]
fn every_setting_is_in_the_readme_and_in_the_example() {
    let defaults: toml::Table = nightshelf::config::Config::default().to_toml().parse().unwrap();
    let readme = read("README.md");
    let example = read("jobs/nightly.toml");
    let parsed: toml::Table = example.parse().unwrap();
    for (section, keys) in &defaults {
        for key in keys.as_table().unwrap().keys() {
            assert!(readme.contains(&format!("`{key}`")), "{key} is not in the README");
            assert!(parsed[section].get(key).is_some(), "{section}.{key} is not in jobs/nightly.toml");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/nightly.toml");
    let loaded = nightshelf::config::Config::load(Some(&path), [], &[]).unwrap();
    assert_eq!(loaded, nightshelf::config::Config::default(), "the example shows the defaults");
}

#[test]
fn every_exit_code_is_in_the_readme_and_in_the_help() {
    let (readme, help) = (read("README.md"), help(&[]));
    for code in ["65", "66", "69", "74", "75", "78", "130", "143"] {
        assert!(
            readme.contains(&format!("| {code} |")) || readme.contains(&format!("| `{code}` |")),
            "{code}"
        );
        assert!(help.contains(code), "{code}");
    }
}

#[test]
fn the_example_queries_run_on_the_real_tables() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    shop.sql("CREATE TABLE books (isbn TEXT PRIMARY KEY, title, author, year, publisher)");
    let connection = shop.open();
    let queries = read("sql/queries.sql");
    let queries: Vec<&str> = queries.lines().map(|line| line.split("--").next().unwrap()).collect();
    let queries = queries.join("\n");
    let mut asked = 0;
    for sql in queries.split(';').filter(|sql| sql.to_uppercase().contains("SELECT")) {
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        for (name, value) in [(":user_id", "7"), (":isbn", "9781000000009"), (":limit", "10")] {
            if let Some(place) = statement.parameter_index(name).unwrap() {
                statement.raw_bind_parameter(place, value.parse::<i64>().unwrap()).unwrap();
            }
        }
        let mut rows = statement.raw_query();
        while rows.next().unwrap().is_some() {
            asked += 1;
        }
    }
    assert!(asked > 10, "the queries gave {asked} rows");
}
