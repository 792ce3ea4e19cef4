//! Where the job runs: whose files, how much memory, which names, what else the database is for.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Ran, Shop, isbn, nightshelf, skipped};

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}

/// Every file and folder beside the database.
fn beside(shop: &Shop) -> Vec<PathBuf> {
    let mut found = vec![shop.beside()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() {
            let inner = std::fs::read_dir(&found[at]).unwrap().map(|entry| entry.unwrap().path());
            found.extend(inner.collect::<Vec<_>>());
        }
        at += 1;
    }
    found
}

#[test]
fn files_beside_the_database_have_its_mode_and_for_root_its_owner() {
    for (of_database, of_file, of_folder) in
        [(0o600, 0o600, 0o700), (0o640, 0o640, 0o750), (0o664, 0o664, 0o775)]
    {
        let shop = Shop::with_tastes(60, 40, 8);
        std::fs::set_permissions(&shop.path, std::fs::Permissions::from_mode(of_database)).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&shop.path, Some(65_534), Some(65_534)).unwrap();
        } else {
            skipped("files can be given to others by root alone");
        }
        let owner = std::fs::metadata(&shop.path).unwrap().uid();
        let as_the_database = || {
            let all = beside(&shop);
            assert!(all.len() >= 7, "{all:?}");
            for path in all {
                let about = std::fs::metadata(&path).unwrap();
                let expected = if path.is_dir() { of_folder } else { of_file };
                assert_eq!(about.mode() & 0o777, expected, "{} {:o}", path.display(), about.mode());
                assert_eq!(about.uid(), owner, "{}", path.display());
            }
        };
        shop.night();
        shop.night();
        as_the_database();
        shop.call(&["forget", "--user", "7"]).ok();
        as_the_database();
        // What another user or an earlier version has left is put right.
        for path in beside(&shop) {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            if is_root() {
                std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
            }
        }
        shop.night();
        as_the_database();
    }
}

#[test]
fn after_a_night_by_root_the_applications_user_has_the_next_one() {
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return skipped("only root can run a night for another user");
    }
    let shop = Shop::with_tastes(60, 40, 8);
    let program = shop.folder.path().join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_nightshelf"), &program).unwrap();
    for path in [shop.folder.path(), &shop.path] {
        std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
    }
    std::fs::set_permissions(shop.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    shop.night();
    let prepared = shop.command(&["run", "--force"]);
    let mut call = Command::new(&program);
    call.args(prepared.get_args()).uid(65_534).gid(65_534);
    call.envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::from(call.output().unwrap()).ok();
    shop.night();
    shop.keeps_its_promises(10);
}

#[test]
fn two_nights_through_a_hard_link_exclude_each_other() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    let link = shop.folder.path().join("another name.db");
    std::fs::hard_link(&shop.path, &link).unwrap();
    let night = shop.wait_at("night.begun", &["run", "--force"]);
    for command in ["run", "rollback"] {
        let ran: Ran = nightshelf().args([command, "--db"]).arg(&link).output().unwrap().into();
        ran.failed(75, "through another name of the file (a hard link)");
    }
    night.go_on().ok();
    // And SQLite's own locks, which belong to the process, have not been let go with ours.
    let ran: Ran = nightshelf().args(["check", "--db"]).arg(&link).output().unwrap().into();
    ran.ok();
    shop.keeps_its_promises(10);
}

#[test]
fn a_database_that_was_replaced_is_called_that() {
    for (place, words) in [
        ("night.begun", &["run", "--force"][..]),
        ("draft.written", &["run", "--force"]),
        ("backfill.begun", &["backfill"]),
    ] {
        let shop = Shop::with_tastes(60, 40, 8);
        shop.sql("PRAGMA journal_mode = wal");
        shop.night();
        shop.add(5, isbn(39), 9);
        // A copy that is put back, as restoring a backup does.
        let backup = shop.folder.path().join("backup");
        shop.sql(&format!("VACUUM INTO '{}'", backup.display()));
        let job = shop.wait_at(place, words);
        for suffix in ["-wal", "-shm"] {
            let mut path = shop.path.clone().into_os_string();
            path.push(suffix);
            std::fs::remove_file(path).unwrap();
        }
        std::fs::rename(&backup, &shop.path).unwrap();
        let before = std::fs::read(&shop.path).unwrap();
        job.go_on().failed(74, "was replaced by another file while the job ran");
        assert!(std::fs::read(&shop.path).unwrap() == before, "what is there now was not touched");
        shop.keeps_its_promises(10);
        shop.call(&["run"]).ok();
    }
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    let job = shop.wait_at("night.begun", &["run", "--force"]);
    std::fs::rename(&shop.path, shop.folder.path().join("away")).unwrap();
    job.go_on().failed(74, "was removed while the job ran");
}

#[test]
fn a_temporary_folder_that_is_full_is_named() {
    let shop = Shop::empty();
    // A query that sorts more than SQLite keeps in memory for it.
    shop.sql(
        "WITH RECURSIVE n (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < 200000)
         INSERT INTO ratings SELECT at % 999, '9780306406157' || at, 5, NULL FROM n",
    );
    let query = "SELECT user_id, isbn, rating FROM ratings ORDER BY isbn DESC, rating";
    let full = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64k none \"$FULL\" || exit 99; exec \"$@\"";
    let command = shop.command(&["run"]);
    let mut small = Command::new("unshare");
    small.args(["--mount", "--map-root-user", "bash", "-c", script, "bash"]);
    small.arg(command.get_program()).args(command.get_args());
    small.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    small.env("FULL", full.path()).env("SQLITE_TMPDIR", full.path()).env("NIGHTSHELF_QUERY", query);
    match small.output() {
        Ok(output)
            if output.status.code() != Some(99)
                && !String::from_utf8_lossy(&output.stderr).contains("unshare:") =>
        {
            let ran = Ran::from(output).failed(74, "the folder for temporary files");
            assert!(ran.stderr.contains(full.path().to_str().unwrap()), "{}", ran.stderr);
        }
        _ => skipped("a full file system takes the right to mount one"),
    }
}

#[test]
fn variables_that_are_no_settings_are_a_warning() {
    let shop = Shop::with_tastes(40, 40, 8);
    // What Kubernetes sets for a service of that name, and a slip of the pen.
    let variables =
        [("NIGHTSHELF_PORT", "tcp://10.0.0.1:80"), ("NIGHTSHELF_FACTOR", "3"), ("NIGHTSHELF_TOP", "4")];
    let ran = shop.call_with(&["run"], &variables).ok();
    let warning = ran.stderr.lines().find(|line| line.contains("NIGHTSHELF_PORT")).unwrap_or_default();
    assert!(
        warning.starts_with("warning:")
            && warning.contains("NIGHTSHELF_FACTOR (did you mean NIGHTSHELF_FACTORS?)"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("NIGHTSHELF_TOP"));
    assert_eq!(shop.one::<i64>("SELECT max(rank) FROM recommendations"), 4);
    assert_eq!(shop.call_with(&["run", "--quiet"], &variables).ok().stderr, "");
    shop.call_with(&["run"], &[("NIGHTSHELF_TOP", "many")]).failed(78, "NIGHTSHELF_TOP");
}

#[test]
fn how_much_memory_there_is_decides_where_nobody_says() {
    let shop = Shop::with_tastes(60, 40, 8);
    let said = |shop: &Shop| {
        let report = shop.call(&["doctor", "--json"]);
        let json = report.json();
        let findings = json["findings"].as_array().unwrap().clone();
        let memory = findings.into_iter().find(|finding| finding["topic"] == "memory").unwrap();
        memory["found"].as_str().unwrap().to_owned()
    };
    let found = said(&shop);
    assert!(
        found.contains("the machine has") || found.contains("the cgroup of this process allows"),
        "{found}"
    );
    // In a cgroup that is too small, a night does not begin. This needs the right to make one.
    let group = Path::new("/sys/fs/cgroup").join(format!("nightshelf-test-{}", std::process::id()));
    let v1 = Path::new("/sys/fs/cgroup/memory").join(group.file_name().unwrap());
    let (group, limit) = match Path::new("/sys/fs/cgroup/memory").is_dir() {
        true => (v1, "memory.limit_in_bytes"),
        false => (group, "memory.max"),
    };
    let made = std::fs::create_dir(&group).and_then(|()| std::fs::write(group.join(limit), "60000000"));
    if made.is_err() {
        let _ = std::fs::remove_dir(&group);
        return skipped("a cgroup with a limit takes the right to make one");
    }
    let script = "echo $$ > \"$GROUP/cgroup.procs\" || exit 99; exec \"$@\"";
    let command = shop.command(&["run"]);
    let mut small = Command::new("bash");
    small.args(["-c", script, "bash"]).arg(command.get_program()).args(command.get_args());
    small.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("GROUP", &group);
    let ran: Ran = small.output().unwrap().into();
    let _ = std::fs::remove_dir(&group);
    if ran.code == 99 {
        return skipped("this process may not move into a cgroup with a limit");
    }
    assert!(ran.stderr.contains("the cgroup of this process allows"), "{ran:?}");
    ran.failed(78, "but reading 480 ratings takes");
}

#[test]
fn foreign_keys_that_point_at_the_lists_are_told() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.night();
    shop.sql("CREATE TABLE clicks (user_id, rank, FOREIGN KEY (user_id, rank) REFERENCES Recommendations (user_id, rank))");
    let doctor = shop.call(&["doctor"]).ok();
    assert!(doctor.stdout.contains("clicks refers to recommendations"), "{}", doctor.stdout);
}

#[test]
fn zeros_and_ones_and_a_lonely_reader_are_told() {
    let shop = Shop::with_tastes(60, 40, 8);
    shop.sql("UPDATE ratings SET rating = rating > 5");
    let ran = shop.call(&["run"]).ok();
    assert!(ran.stderr.contains("implicit_rating = -1"), "{}", ran.stderr);
    let ran = shop.call_with(&["run"], &[("NIGHTSHELF_IMPLICIT_RATING", "-1")]).ok();
    assert!(!ran.stderr.contains("implicit_rating"), "{}", ran.stderr);
    let usual = Shop::with_tastes(60, 40, 8).call(&["run"]).ok();
    assert!(!usual.stderr.contains("warning"), "{}", usual.stderr);
    let lonely = Shop::empty();
    (0..9).for_each(|book| lonely.add("only me", isbn(book), 9));
    let ran = lonely.call(&["run"]).ok();
    assert!(ran.stderr.contains("only one reader, and nobody to compare with"), "{}", ran.stderr);
    let doctor = lonely.call(&["doctor"]);
    assert!(doctor.stdout.contains("only one reader"), "{}", doctor.stdout);
}

#[test]
fn timers_and_examples_start_at_an_hour_that_every_night_has() {
    // Clocks are put forward between midnight and four.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = 0;
    for file in [
        "jobs/nightshelf@.timer",
        "jobs/crontab",
        "jobs/README.md",
        "docs/guide.md",
        "docs/reference.md",
        "README.md",
        "src/commands/init/mod.rs",
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for line in text.lines() {
            let line = line.trim_start_matches(['#', '"', ' ', '`']);
            let words: Vec<&str> = line.split_whitespace().collect();
            let cron = words.len() > 5 && words[2..5].iter().all(|word| *word == "*");
            let hour = match line.strip_prefix("OnCalendar=") {
                Some(time) => time.rsplit(' ').next().and_then(|time| time.split(':').next()),
                None => cron.then(|| words[1]),
            };
            if let Some(hour) = hour.and_then(|hour| hour.trim_start_matches('*').parse::<u32>().ok()) {
                assert!((4..24).contains(&hour), "{file}: {line}");
                found += 1;
            }
        }
    }
    assert!(found >= 3, "{found}");
}
