//! The search for settings: resumable, bounded, and what it finds is what `run` takes.

use crate::common::{Ran, Shop};

fn tune(shop: &Shop, flags: &[&str]) -> Ran {
    let out = shop.folder.path().join("tuned.toml");
    let mut command = shop.command(&["tune", "--json"]);
    command.arg("--out").arg(out).args(flags);
    if !flags.contains(&"--trials") {
        command.args(["--trials", "9"]);
    }
    command.output().unwrap().into()
}

#[test]
fn a_search_ends_with_settings_that_a_run_takes() {
    let shop = Shop::with_tastes(300, 150, 10);
    let report = tune(&shop, &[]).ok().json();
    let trials = report["trials"].as_array().unwrap();
    // The settings as they were and eight others with a quarter of the factors, three of them with half,
    // one with all, the winner with twice as many.
    let of = |factors: u64| trials.iter().filter(|trial| trial["factors"] == factors).count();
    assert!(of(2) >= 9 && of(4) >= 3 && of(8) >= 2 && of(16) == 1, "{report}");
    assert_eq!((&report["figure"], &report["finished"]), (&"nDCG@20".into(), &true.into()));
    for key in ["regularization", "unobserved_weight", "exponent", "epochs", "popularity_exponent"] {
        assert!(trials.iter().any(|trial| trial["settings"][key].is_string()), "{key}");
    }
    let confirmed = &report["confirmed"];
    let (before, after) = (confirmed["before"].as_f64().unwrap(), confirmed["after"].as_f64().unwrap());
    assert_eq!(confirmed["better"].as_bool().unwrap(), after > before);
    // A run takes them.
    let file = shop.folder.path().join("tuned.toml");
    let printed = shop.command(&["run", "--print-config"]).arg("--config").arg(&file).output().unwrap();
    let settings: toml::Table = String::from_utf8(printed.stdout).unwrap().parse().unwrap();
    if confirmed["better"] == true {
        let lambda: f64 =
            report["best"]["settings"]["regularization"].as_str().map_or(0.0, |text| text.parse().unwrap());
        assert_eq!(settings["model"]["regularization"].as_float().unwrap(), lambda);
    }
    assert_eq!(shop.command(&["run"]).arg("--config").arg(&file).output().unwrap().status.code(), Some(0));

    // Another call finds everything done; more trials go on from there.
    let count = || shop.one::<i64>("SELECT count(*) FROM nightshelf_trials");
    let made = count();
    assert_eq!(made as usize, trials.len());
    let again = tune(&shop, &[]).ok();
    assert!(again.stderr.contains(&format!("{made} trials were made before")), "{}", again.stderr);
    assert!(!again.stderr.contains("\ntrial "), "{}", again.stderr);
    assert_eq!(again.json()["best"], report["best"]);
    assert_eq!(count(), made);
    tune(&shop, &["--trials", "12"]).ok();
    assert!(count() > made);
    tune(&shop, &["--restart", "--trials", "1"]).ok();
    assert!(count() < made);
}

#[test]
fn a_search_keeps_to_its_time_and_goes_on_after_a_stop() {
    let shop = Shop::with_tastes(300, 150, 10);
    tune(&shop, &["--minutes", "0"]).failed(1, "--minutes");
    tune(&shop, &["--minutes", "18446744073709551615"]).failed(2, "--minutes");
    tune(&shop, &["--trials", "18446744073709551615"]).failed(2, "--trials");
    assert!(!shop.folder.path().join("tuned.toml").exists());
    // Killed in the middle: what was done is kept.
    shop.die_at("tune.trial@3", &["tune", "--trials", "9"]);
    let said = tune(&shop, &[]).ok().stderr;
    assert!(said.contains("3 trials were made before"), "{said}");
}

#[test]
fn stars_are_searched_for_by_their_error() {
    let shop = Shop::with_tastes(300, 150, 10);
    let report = tune(&shop, &["--objective", "rating"]).ok().json();
    assert_eq!(report["figure"], "RMSE");
    let best = report["best"]["value"].as_f64().unwrap();
    assert!((0.5..4.0).contains(&best), "{best}");
    let trials = report["trials"].as_array().unwrap();
    assert!(trials.iter().any(|trial| trial["settings"]["user_damping"].is_string()));
    let adam = tune(&shop, &["--solver", "adam", "--trials", "1"]).ok().json();
    let rates = adam["trials"].as_array().unwrap();
    assert!(rates.iter().any(|trial| trial["settings"]["learning_rate"].is_string()));
}

#[test]
fn nobodys_own_file_is_written_over() {
    let shop = Shop::with_tastes(60, 40, 8);
    let file = shop.folder.path().join("tuned.toml");
    std::fs::write(&file, "# my own\n").unwrap();
    tune(&shop, &[]).failed(78, "--out");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "# my own\n");
    assert!(!shop.beside().exists(), "nothing was begun");
}
