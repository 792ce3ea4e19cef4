//! The documents say what the program does.

use std::path::Path;

use crate::common::{Ran, Shop, nightshelf};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// All that people are told.
fn manual() -> String {
    ["README.md", "docs/guide.md", "docs/reference.md"].map(read).join("\n")
}

fn help(words: &[&str]) -> String {
    let ran: Ran = nightshelf().args(words).arg("--help").output().unwrap().into();
    ran.ok().stdout
}

#[test]
fn every_command_and_flag_is_in_the_readme() {
    let (readme, manual) = (read("README.md"), manual());
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
            readme.contains(&format!("`{command}")) && manual.contains(&format!("nightshelf {command}")),
            "{command}"
        );
        for word in help(&[command]).split(|c: char| !(c.is_alphanumeric() || c == '-')) {
            let flag = word.starts_with("--") && word.len() > 3;
            assert!(!flag || manual.contains(word), "{word} of {command} is not in the manual");
        }
    }
}

#[test]
fn every_setting_is_in_the_readme_and_in_the_example() {
    let defaults: toml::Table = nightshelf::config::Config::default().to_toml().parse().unwrap();
    let manual = manual();
    let example = read("jobs/nightly.toml");
    let parsed: toml::Table = example.parse().unwrap();
    for (section, keys) in &defaults {
        for key in keys.as_table().unwrap().keys() {
            assert!(manual.contains(&format!("`{key}`")), "{key} is not in the manual");
            assert!(parsed[section].get(key).is_some(), "{section}.{key} is not in jobs/nightly.toml");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/nightly.toml");
    let loaded = nightshelf::config::Config::load(Some(&path), [], &[]).unwrap();
    assert_eq!(loaded, nightshelf::config::Config::default(), "the example shows the defaults");
}

#[test]
fn every_exit_code_is_in_the_readme_and_in_the_help() {
    let (manual, help) = (manual(), help(&[]));
    for code in ["65", "66", "69", "74", "75", "78", "130", "143"] {
        assert!(
            manual.contains(&format!("| {code} |")) || manual.contains(&format!("| `{code}` |")),
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

#[test]
fn links_between_the_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let anchor = |heading: &str| -> String {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    let mut followed = 0;
    for document in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/guide.md",
        "docs/reference.md",
        "docs/figures.md",
        "docs/cluster.md",
        "docs/recipes.md",
        "jobs/README.md",
        "jobs/kubernetes/README.md",
        "packaging/README.md",
    ] {
        let folder = root.join(document).parent().unwrap().to_owned();
        for link in
            read(document).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
        {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { root.join(document) } else { folder.join(file) };
            assert!(path.exists(), "{document}: {link}");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&path).unwrap();
                let there = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches('#').trim()) == heading);
                assert!(there, "{document}: {link}");
            }
            followed += 1;
        }
    }
    assert!(followed > 20, "{followed}");
}
