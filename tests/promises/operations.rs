//! What cron and people meet: locks, signals, exit codes, the two streams, settings.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

use crate::common::{Ran, Shop, nightshelf};

#[test]
fn one_job_a_database_at_a_time() {
    let shop = Shop::with_tastes(50, 40, 8);
    shop.night();
    let mut lock = shop.path.clone().into_os_string();
    lock.push(".nightshelf/lock");
    let file = std::fs::File::open(&lock).unwrap();
    file.lock().unwrap();
    for command in ["run", "rollback"] {
        shop.call(&[command]).failed(75, "another nightshelf is at work");
    }
    // Reading is free.
    shop.call(&["check"]).ok();
    // A link to the database is the same database.
    let link = shop.folder.path().join("link.db");
    std::os::unix::fs::symlink(&shop.path, &link).unwrap();
    let ran: Ran = nightshelf().args(["run", "--device", "cpu", "--db"]).arg(&link).output().unwrap().into();
    ran.failed(75, "another nightshelf is at work");
    drop(file);
    shop.call(&["run"]).ok();
}

#[test]
fn signals_stop_the_job_and_nothing_is_published() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let shop = Shop::with_tastes(400, 200, 12);
        shop.night();
        let lists = shop.rows("SELECT * FROM recommendations");
        // Far too many epochs to end by itself.
        let mut night = shop.start_until(&["run", "--epochs", "1000000"], "normalise");
        shop.signal(&night, signal);
        let status = night.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(code), None));
        let said = shop.one::<String>("SELECT error FROM nightshelf_runs ORDER BY run_id DESC");
        assert!(said.contains("nothing was published"), "{said}");
        assert!(shop.rows("SELECT * FROM recommendations") == lists);
        assert_eq!(
            shop.one::<String>("SELECT status FROM nightshelf_runs ORDER BY run_id DESC"),
            "interrupted"
        );
        shop.call(&["run"]).ok();
    }
}

#[test]
fn a_database_that_stays_locked_is_left_for_later() {
    let shop = Shop::with_tastes(50, 40, 8);
    shop.night();
    let application = shop.open();
    application.execute_batch("BEGIN IMMEDIATE").unwrap();
    shop.call_with(&["run"], &[("NIGHTSHELF_PATIENCE", "1")]).failed(75, "locked");
    application.execute_batch("ROLLBACK").unwrap();
    // One that is locked for a while is waited for, even if it cannot so much as be read.
    application.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let night = shop.wait_at("read.busy", &["run"]);
    application.execute_batch("COMMIT").unwrap();
    night.go_on().ok();
}

#[test]
fn a_database_that_cannot_be_written_says_so() {
    let shop = Shop::with_tastes(50, 40, 8);
    // Root may write anywhere, so the folder's own name is taken by a file.
    let mut folder = shop.path.clone().into_os_string();
    folder.push(".nightshelf");
    std::fs::write(&folder, "in the way").unwrap();
    shop.call(&["run"]).failed(74, "cannot make the folder");
    std::fs::remove_file(&folder).unwrap();

    let mut page = std::fs::read(&shop.path).unwrap();
    let middle = page.len() / 2;
    page[4096..middle].fill(0xa5);
    std::fs::write(&shop.path, page).unwrap();
    shop.call(&["run"]).failed(74, "damaged");
}

#[test]
fn stdout_is_data_and_stderr_is_for_people() {
    let shop = Shop::with_tastes(50, 40, 8);
    let plain = shop.call(&["run"]).ok();
    assert_eq!(plain.stdout, "");
    assert!(plain.stderr.lines().count() >= 6, "{}", plain.stderr);
    assert!(!plain.stderr.contains(['\u{1b}', '\r']), "a log has no colours and no bars: {:?}", plain.stderr);
    let quiet = shop.call(&["run", "--quiet", "--json"]).ok();
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.stdout.lines().count(), 1);
    quiet.json();
    // In a log a line an epoch and one a stage.
    assert_eq!(plain.stderr.matches("train, epoch ").count(), 6, "{}", plain.stderr);
    // Errors are said even when all else is quiet.
    let broken = Shop::empty();
    broken.call(&["run", "--quiet"]).failed(65, "error:");
}

#[test]
fn settings_come_in_layers_and_are_checked() {
    let shop = Shop::with_tastes(40, 40, 8);
    let config = shop.folder.path().join("night.toml");
    std::fs::write(&config, "[output]\ntop = 3\n").unwrap();
    let config = config.to_str().unwrap();
    let longest = || shop.one::<i64>("SELECT max(rank) FROM recommendations");
    shop.call(&["run", "--config", config]).ok();
    assert_eq!(longest(), 3);
    shop.call_with(&["run", "--config", config], &[("NIGHTSHELF_TOP", "4")]).ok();
    assert_eq!(longest(), 4);
    shop.call_with(&["run", "--config", config, "--top", "5"], &[("NIGHTSHELF_TOP", "4")]).ok();
    assert_eq!(longest(), 5);
    shop.call_with(&["run"], &[("NIGHTSHELF_CONFIG", config)]).ok();
    assert_eq!(longest(), 3);

    let printed: Ran = nightshelf().args(["run", "--print-config", "--top", "6"]).output().unwrap().into();
    let printed = printed.ok().stdout;
    let parsed: toml::Table = printed.parse().unwrap();
    assert_eq!(parsed["output"]["top"].as_integer(), Some(6));
    assert_eq!(longest(), 3, "printing runs nothing");

    std::fs::write(config, "[model]\nfactor = 3\n").unwrap();
    shop.call(&["run", "--config", config]).failed(78, "did you mean factors?");
    std::fs::write(config, "[modl]\nfactors = 3\n").unwrap();
    shop.call(&["run", "--config", config]).failed(78, "did you mean model?");
    std::fs::write(config, "[model]\nfactors = 'many'\n").unwrap();
    shop.call(&["run", "--config", config]).failed(78, "night.toml");
    shop.call(&["run", "--config", "/nowhere/night.toml"]).failed(66, "night.toml");
    shop.call(&["run", "--solver", "magic"]).failed(78, "--solver");
    shop.call(&["run", "--no-such-flag"]).failed(2, "--no-such-flag");
    shop.call(&["runn"]).failed(2, "run");
}

#[test]
fn the_history_tells_each_run() {
    let shop = Shop::with_tastes(40, 40, 8);
    shop.night();
    let row = shop.rows(
        "SELECT kind, status, device, json_extract(counts, '$.users'), json_extract(config, '$.model.factors'),
           json_extract(metrics, '$.loss') > 0, json_extract(timings, '$.train_s') >= 0, length(input_digest),
           started_at <= finished_at, started_at GLOB '20??-??-??T??:??:??.???Z' FROM nightshelf_runs",
    );
    assert_eq!(row, ["nightly|published|cpu|40|8|1|1|16|1|1"]);
    let digest = || shop.one::<String>("SELECT input_digest FROM nightshelf_runs ORDER BY run_id DESC");
    let first = digest();
    shop.night();
    assert_eq!(digest(), first, "the same ratings");
    shop.sql("UPDATE ratings SET rating = rating % 10 + 1 WHERE rowid = 17");
    shop.night();
    assert_ne!(digest(), first, "one rating is another");
}

#[test]
fn the_lock_file_is_the_only_thing_beside_the_models() {
    let shop = Shop::with_tastes(40, 40, 8);
    shop.night();
    let names: Vec<String> = std::fs::read_dir(shop.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(std::fs::metadata(&shop.path).unwrap().permissions().mode() & 0o600 == 0o600);
}
