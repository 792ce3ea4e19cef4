//! `--max-memory` is kept to, or the night does not begin and says what it would take.

use crate::common::{Shop, isbn};

/// The figure in "takes 123M at least".
fn named(stderr: &str) -> String {
    let words: Vec<&str> = stderr.split_whitespace().collect();
    let at = words.windows(2).position(|pair| pair[0] == "takes" && pair[1].ends_with('M'));
    words[at.expect("the least that would do is named") + 1].to_owned()
}

#[test]
fn the_least_that_is_named_is_enough_and_kept_to() {
    let shop = Shop::with_tastes(6000, 3000, 20);
    // As many threads on every machine: each has buffers of its own.
    let factors = ["run", "--force", "--json", "--factors", "128", "--epochs", "2", "--threads", "2"];
    let within = |most: &str| shop.call(&[&factors[..], &["--max-memory", most]].concat());
    // Not even the ratings could be read, and then: not the models.
    for (little, why) in [("70M", "reading 120,000 ratings takes"), ("82M", "fewer factors (now 128)")] {
        within(little).failed(78, why);
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM sqlite_schema WHERE name = 'recommendations'"), 0);
    }
    let least = named(&within("82M").stderr);
    let report = within(&least).ok().json();
    let bound: u64 = least.trim_end_matches('M').parse::<u64>().unwrap() * 1_000_000;
    let peak = report["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak <= bound, "{peak} bytes at {least}");
    shop.keeps_its_promises(10);
    // Less memory, the same lists.
    let lists = "SELECT group_concat(user_id || ' ' || rank || ' ' || isbn) FROM recommendations";
    let before: String = shop.one(lists);
    shop.call(&factors).ok();
    assert_eq!(shop.one::<String>(lists), before);
    within("much").failed(78, "max_memory");
}

#[test]
fn whatever_trains_or_solves_keeps_to_it() {
    let shop = Shop::with_tastes(6000, 3000, 20);
    let factors = ["--factors", "128", "--epochs", "2", "--json", "--threads", "2"];
    shop.call(&[&["run"], &factors[..]].concat()).ok();
    let within = |words: &[&str], most: &str| shop.call(&[words, &factors, &["--max-memory", most]].concat());
    for command in [&["backfill"][..], &["evaluate"], &["tune", "--trials", "1"]] {
        within(command, "82M").failed(78, "fewer factors (now 128)");
    }
    for reader in 0..200 {
        shop.add(reader, isbn(3000 + reader as u64), 7);
    }
    let least = named(&within(&["backfill"], "82M").stderr);
    let report = within(&["backfill"], &least).ok().json();
    let bound: u64 = least.trim_end_matches('M').parse::<u64>().unwrap() * 1_000_000;
    let peak = report["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak <= bound, "{peak} bytes at {least}");
    assert_eq!(report["metrics"]["changed_users"], 200);
}
