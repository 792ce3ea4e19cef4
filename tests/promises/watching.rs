//! What tells how it went: the history's table, figures for Prometheus, and the doctor.

use std::process::Command;

use crate::common::{Ran, Shop, isbn, nightshelf, skipped};

#[test]
fn runs_shows_each_night_beside_how_it_changed() {
    let shop = Shop::with_tastes(80, 40, 8);
    assert!(shop.call(&["runs"]).ok().stdout.contains("no runs yet"));
    shop.night();
    shop.sql("INSERT INTO ratings SELECT user_id + 100, isbn, rating, NULL FROM ratings WHERE user_id < 40");
    shop.night();
    shop.call(&["run"]).ok();
    shop.sql("ALTER TABLE ratings RENAME TO hidden");
    shop.call(&["run"]).failed(78, "no table ratings");
    shop.sql("ALTER TABLE hidden RENAME TO ratings");
    shop.add(3, isbn(39), 5);
    shop.backfill(&[]);
    let text = shop.call(&["runs"]).ok().stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("run") && lines[0].contains("coverage"), "{text}");
    assert!(lines[2].contains("nightly") && lines[2].contains("120 +50.0%"), "{text}");
    assert!(lines[3].contains("unchanged"), "{text}");
    assert!(lines[4].contains("failed"), "{text}");
    assert!(lines[5].contains("backfill"), "{text}");
    assert!(lines[6].starts_with("run 4: ") && lines[6].contains("no table ratings"), "{text}");
    let json = shop.call(&["runs", "--json", "--last", "2"]).ok().json();
    let told = json["runs"].as_array().unwrap();
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0]["status"], &told[1]["kind"]), (&"failed".into(), &"backfill".into()));
    shop.call(&["runs", "--last", "0"]).failed(2, "--last");
    let json = shop.call(&["runs", "--json"]).ok().json();
    assert_eq!(json["runs"][1]["change"]["readers"], 40.0);
    assert!(json["runs"][1]["metrics"]["loss"].is_number());
}

/// Names, labels and values of a file in Prometheus's text format, whose grammar is checked.
fn exposition(text: &str) -> Vec<(String, f64)> {
    let mut described = std::collections::HashSet::new();
    let mut figures = Vec::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let words: Vec<&str> = about.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE"].contains(&words[0]) && words.len() == 3, "{line}");
            described.insert((words[0].to_owned(), words[1].to_owned()));
            continue;
        }
        let (what, value) = line.rsplit_once(' ').unwrap();
        let name = what.split('{').next().unwrap().to_owned();
        assert!(name.starts_with("nightshelf_") && what.ends_with("\"}"), "{line}");
        for kind in ["HELP", "TYPE"] {
            assert!(described.contains(&(kind.to_owned(), name.clone())), "{kind} of {name}");
        }
        figures.push((what.to_owned(), value.parse().unwrap()));
    }
    assert!(text.ends_with('\n'));
    figures
}

#[test]
fn figures_are_left_for_prometheus() {
    use std::os::unix::fs::PermissionsExt;
    let shop = Shop::with_tastes(80, 40, 8);
    let file = shop.folder.path().join("nightshelf.prom");
    let flag = ["--metrics-file", file.to_str().unwrap()];
    shop.call(&[&["run"], &flag[..]].concat()).ok();
    let figures = |shop: &Shop| {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(shop.folder.path()).unwrap().count(), 3, "nothing else is left");
        exposition(&std::fs::read_to_string(&file).unwrap())
    };
    let value = |figures: &[(String, f64)], name: &str, label: &str| {
        let found = figures
            .iter()
            .find(|(what, _)| what.starts_with(&format!("nightshelf_{name}{{")) && what.contains(label));
        found.unwrap_or_else(|| panic!("{name} {label} in {figures:?}")).1
    };
    let first = figures(&shop);
    assert_eq!(value(&first, "exit_code", "command=\"run\""), 0.0);
    assert_eq!(value(&first, "users", ""), 80.0);
    assert_eq!(value(&first, "recommendations", ""), 800.0);
    assert_eq!(value(&first, "ratings", "what=\"read\""), 640.0);
    assert!(value(&first, "model", "what=\"loss\"") > 0.0);
    assert!(value(&first, "stage_seconds", "stage=\"train\"") >= 0.0);
    let succeeded = value(&first, "last_success_timestamp_seconds", "kind=\"nightly\"");
    assert!(first.iter().all(|(what, _)| what.contains("für alle.db")), "which database: {first:?}");

    // A failure is told, and what stood before it still stands.
    shop.sql("ALTER TABLE ratings RENAME TO hidden");
    shop.call(&[&["run"], &flag[..]].concat()).failed(78, "no table");
    let failed = figures(&shop);
    assert_eq!(value(&failed, "exit_code", "command=\"run\""), 78.0);
    assert_eq!(value(&failed, "last_success_timestamp_seconds", "kind=\"nightly\""), succeeded);
    assert_eq!(value(&failed, "users", ""), 80.0);
    shop.sql("ALTER TABLE hidden RENAME TO ratings");
    shop.call_with(&["backfill"], &[("NIGHTSHELF_METRICS_FILE", flag[1])]).ok();
    let backfill = figures(&shop);
    assert_eq!(value(&backfill, "exit_code", "command=\"backfill\""), 0.0);
    assert_eq!(value(&backfill, "exit_code", "command=\"run\""), 78.0, "the other's last attempt");
    assert_eq!(value(&backfill, "last_success_run_id", "kind=\"backfill\""), 3.0);
    assert_eq!(value(&backfill, "recommendations", ""), 800.0);

    // A night is none the worse where they cannot be left, and says so.
    let ran = shop.call(&["run", "--force", "--metrics-file", "/nowhere/n.prom"]).ok();
    assert!(ran.stderr.contains("no figures for Prometheus"), "{}", ran.stderr);
    // Nor is it a night if there is no database.
    let ran: Ran = nightshelf().args(["run", "--db", "/nowhere.db"]).args(flag).output().unwrap().into();
    ran.failed(66, "no database file");
    let missing = exposition(&std::fs::read_to_string(&file).unwrap());
    assert_eq!(value(&missing, "exit_code", "command=\"run\""), 66.0);
}

#[test]
fn a_log_says_when_it_began_and_how_it_ended() {
    let shop = Shop::with_tastes(40, 40, 8);
    let log = shop.call(&["run"]).ok().stderr;
    let lines: Vec<&str> = log.lines().collect();
    let is_time = |text: &str| chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").is_ok();
    let dated = |line: &str| line.get(11..30).is_some_and(is_time);
    assert!(lines[0].starts_with("start ") && lines[0].contains("nightshelf 0") && dated(lines[0]), "{log}");
    let last = lines[lines.len() - 1];
    assert!(last.starts_with("end ") && last.contains("published") && dated(last), "{log}");
    shop.sql("DROP TABLE ratings");
    let log = shop.call(&["run"]).failed(78, "what to do").stderr;
    assert!(log.contains("end ") && log.contains("without success"), "{log}");
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let machine: Ran = nightshelf().arg("doctor").output().unwrap().into();
    assert!(machine.ok().stdout.contains("device"));
    let shop = Shop::with_tastes(80, 40, 8);
    shop.sql("PRAGMA journal_mode = wal");
    let verdicts = |shop: &Shop, code: i32| {
        let ran = shop.call(&["doctor", "--json"]);
        assert_eq!(ran.code, code, "{ran:?}");
        let findings = ran.json()["findings"].as_array().unwrap().clone();
        let unwell = findings.into_iter().filter(|finding| finding["verdict"] != "ok");
        unwell
            .map(|finding| {
                assert!(finding["fix"].is_string(), "{finding}");
                format!("{}: {}", finding["topic"].as_str().unwrap(), finding["found"].as_str().unwrap())
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&shop, 0), ["last run: none yet"]);
    shop.night();
    assert_eq!(verdicts(&shop, 0), Vec::<String>::new());
    let says = |code: i32, words: &str| {
        let found = verdicts(&shop, code);
        assert!(found.iter().any(|found| found.contains(words)), "{words}: {found:?}");
    };
    let lock = std::fs::File::open(shop.beside().join("lock")).unwrap();
    lock.lock().unwrap();
    says(0, "another nightshelf is at work");
    drop(lock);
    shop.sql("UPDATE nightshelf_runs SET status = 'running'");
    says(0, "nobody is at work");
    shop.sql("UPDATE nightshelf_runs SET status = 'published', started_at = '2099-01-01T00:00:00.000Z'");
    says(0, "clock has gone back");
    shop.sql("UPDATE nightshelf_runs SET started_at = '2020-01-01T00:00:00.000Z', finished_at = started_at");
    shop.sql("UPDATE nightshelf_runs SET finished_at = '2020-01-01T00:00:00.000Z'");
    says(0, "hours old");
    std::fs::remove_dir_all(shop.beside().join("model-1")).unwrap();
    says(1, "model of run 1 is missing");
    shop.sql("ALTER TABLE ratings RENAME COLUMN isbn TO isbn_13");
    says(1, "no column isbn");
    shop.call(&["run"]).failed(78, "no column isbn");
    says(1, "failed");
    shop.sql("ALTER TABLE ratings RENAME COLUMN isbn_13 TO isbn; PRAGMA journal_mode = delete");
    says(1, "readers and writers wait for each other");
    shop.night();
    shop.sql("CREATE TABLE nightshelf_x (y); DROP TABLE recommendations; CREATE TABLE recommendations (id)");
    says(1, "nightshelf did not make");
    let ran: Ran = nightshelf().args(["doctor", "--db", "/nowhere.db"]).output().unwrap().into();
    assert!(ran.code == 1 && ran.stdout.contains("no database file"), "{ran:?}");
}

#[test]
fn the_units_are_what_systemd_expects() {
    let jobs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs");
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for entry in std::fs::read_dir(&jobs).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if [".service", ".timer", ".path"].iter().any(|end| name.ends_with(end)) {
            // As installed, but for the program, which lies elsewhere here.
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let program = format!("ExecStart={} ", env!("CARGO_BIN_EXE_nightshelf"));
            let text = text.replace("ExecStart=nightshelf ", &program);
            assert!(!text.contains("/usr/local/bin"), "{name} names another program");
            std::fs::write(folder.path().join(&name), text).unwrap();
            units.push(name);
        }
    }
    assert!(units.len() >= 6, "{units:?}");
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").arg("--recursive-errors=no").arg("--man=no");
    for name in &units {
        // A template is verified as one of its instances.
        verify.arg(folder.path().join(name.replace("@.", "@shop.")));
    }
    match verify.env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display())).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let about_ours: Vec<&str> = said
                .lines()
                .filter(|line| line.contains("nightshelf"))
                // Users and folders of the example's shop are not on this machine.
                .filter(|line| !line.contains("Failed to resolve") && !line.contains("Unit srv-shop.mount"))
                .collect();
            assert!(about_ours.is_empty(), "{said}");
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped("there is no systemd-analyze on this machine: only the form of the units is looked at");
            for name in &units {
                let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
                for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                    assert!(line.starts_with('[') || line.contains('='), "{name}: {line}");
                }
            }
        }
        Err(error) => panic!("{error}"),
    }
}
