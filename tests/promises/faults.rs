//! What goes wrong on real machines, made to happen. After each the old set stands or the new one
//! does, SQLite finds nothing wrong, the exit code and the message are right, and the next run
//! succeeds.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Ran, Random, Shop, isbn, skipped};

const LISTS: &str = "SELECT * FROM recommendations";

/// The same command, run by a shell that does something first.
fn through_shell(command: &Command, first: &str) -> Command {
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!("{first}; exec \"$@\"")).arg("bash").arg(command.get_program());
    shell.args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[test]
fn a_disk_that_is_full_at_any_stage_leaves_the_old_set() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(1200, 300, 10);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        shop.add("new here", isbn(4), 9);
        let size = std::fs::metadata(&shop.path).unwrap().len() / 1024;
        let (mut failed, mut stages) = (0, std::collections::HashSet::new());
        // A limit on the size of files is to the program what a full disk is.
        for room in [4, 60, 100, 200, size / 4, size / 2, size, size + 40, size + 400, 3 * size] {
            for command in [&["run", "--force"][..], &["backfill"]] {
                let lists = shop.rows(LISTS);
                let limit = format!("trap '' XFSZ; ulimit -f {room}");
                let ran: Ran = through_shell(&shop.command(command), &limit).output().unwrap().into();
                assert!([0, 74].contains(&ran.code), "{room}: {ran:?}");
                assert!(!ran.stderr.contains("panicked"), "{ran:?}");
                if ran.code == 74 {
                    assert!(ran.stderr.contains("error:"), "{ran:?}");
                    // A reader's list is changed or not; a night's set stands as it was.
                    assert!(command[0] == "backfill" || shop.rows(LISTS) == lists, "{room} {command:?}");
                    failed += 1;
                    let stage = ran.stderr.split("error: ").nth(1).unwrap();
                    stages.insert(stage.chars().take(18).collect::<String>());
                }
                shop.keeps_its_promises(10);
                let unfinished = std::fs::read_dir(shop.beside()).unwrap().flatten().any(|entry| {
                    entry.file_name().to_string_lossy().starts_with("unfinished") && ran.code == 74
                });
                assert!(!unfinished, "half a model takes no room");
            }
        }
        assert!(failed >= 5 && stages.len() >= 2, "{failed} {stages:?}");
        shop.night();
        shop.keeps_its_promises(10);
        shop.call(&["check"]).ok();
    }
}

#[test]
fn a_file_system_without_room_leaves_the_old_set() {
    // A real one, in a name space of its own, where this machine lets us; elsewhere the limit on
    // files above stands for it.
    let shop = Shop::with_tastes(1200, 300, 10);
    shop.night();
    let lists = shop.rows(LISTS);
    let used: u64 = crate::common::contents(shop.folder.path())
        .iter()
        .map(|(_, bytes)| bytes.len() as u64 / 1024 + 8)
        .sum();
    let away = tempfile::tempdir().unwrap();
    let name = shop.path.file_name().unwrap();
    for spare in [0, 40, 200, 500, 1000, 20_000] {
        let disk = away.path().join(format!("disk-{spare}"));
        let after = away.path().join(format!("after-{spare}"));
        std::fs::create_dir_all(&disk).unwrap();
        std::fs::create_dir_all(&after).unwrap();
        // What is left is carried out of the name space, which goes with its last process.
        let script = format!(
            "mount -t tmpfs -o size={}k none \"$DISK\" && cp -a \"$SHOP/.\" \"$DISK\" || exit 99
             \"$@\"; code=$?; cp -a \"$DISK/.\" \"$AFTER\"; exit $code",
            used + spare
        );
        let command = shop.command(&[]);
        let mut small = Command::new("unshare");
        small.args(["--mount", "--map-root-user", "bash", "-c", &script, "bash"]);
        small.arg(command.get_program()).args(["run", "--force", "--db"]).arg(disk.join(name));
        small.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        small.env("SHOP", shop.folder.path()).env("DISK", &disk).env("AFTER", &after);
        let ran: Ran = match small.output() {
            Ok(output)
                if output.status.code() != Some(99)
                    && !String::from_utf8_lossy(&output.stderr).contains("unshare") =>
            {
                output.into()
            }
            _ => return skipped("a file system of a few pages takes the right to mount one"),
        };
        assert!([0, 74].contains(&ran.code), "{spare}: {ran:?}");
        assert!(ran.code == 0 || ran.stderr.contains("free some space"), "{spare}: {ran:?}");
        let copy = rusqlite::Connection::open(after.join(name)).unwrap();
        let word: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(word, "ok");
        let rows: i64 = copy.query_row("SELECT count(*) FROM recommendations", [], |row| row.get(0)).unwrap();
        let sets: i64 = copy
            .query_row("SELECT count(DISTINCT run_id) FROM recommendations", [], |row| row.get(0))
            .unwrap();
        assert_eq!((rows, sets), (lists.len() as i64, 1), "{spare}");
        assert!(spare != 0 || ran.code == 74, "no room, and yet: {ran:?}");
        assert!(spare != 20_000 || ran.code == 0, "{ran:?}");
    }
}

#[test]
fn a_database_or_folder_that_may_only_be_read_is_left_alone() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(60, 40, 8);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        // Root may write anywhere, so this is tried as nobody, with a program nobody may reach.
        let program = shop.folder.path().join("program");
        std::fs::hard_link(env!("CARGO_BIN_EXE_nightshelf"), &program)
            .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_nightshelf"), &program).map(drop))
            .unwrap();
        let root = std::fs::metadata("/proc/self")
            .is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0);
        let set = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let lists = shop.rows(LISTS);
        let mut paths = vec![shop.folder.path().to_owned(), shop.path.clone(), shop.beside()];
        paths.extend(crate::common::contents(&shop.beside()).into_iter().map(|(path, _)| path));
        for command in ["run", "backfill", "rollback", "forget"] {
            let mut words = vec![command];
            words.extend(if command == "forget" { vec!["--user", "5"] } else { vec![] });
            for path in &paths {
                set(path, if path.is_dir() { 0o555 } else { 0o444 });
            }
            let prepared = shop.command(&words);
            let mut call = Command::new(&program);
            call.args(prepared.get_args());
            call.envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?))));
            if root {
                call.uid(65_534).gid(65_534);
            }
            let ran: Ran = call.output().unwrap().into();
            for path in &paths {
                set(path, if path.is_dir() { 0o755 } else { 0o644 });
            }
            assert!([66, 74].contains(&ran.code), "{command}: {ran:?}");
            assert!(ran.stderr.contains("what to do:") || ran.stderr.contains("ermission denied"), "{ran:?}");
            assert_eq!(shop.rows(LISTS), lists);
        }
        shop.night();
        shop.keeps_its_promises(10);
    }
}

#[test]
fn locks_that_others_hold_for_long_are_waited_for() {
    let shop = Shop::with_tastes(300, 100, 10);
    shop.sql("PRAGMA journal_mode = wal");
    shop.night();
    for command in [&["run", "--force"][..], &["backfill", "--since-run", "1"], &["rollback"], &["rollback"]]
    {
        shop.add(5, isbn(command.len() as u64 + 60), 9);
        let writer = shop.open();
        writer.execute_batch("BEGIN IMMEDIATE; UPDATE ratings SET rating = 5 WHERE rowid = 1").unwrap();
        // It has found the lock, and goes on to wait for it.
        let job = shop.wait_at("write.busy", command);
        writer.execute_batch("COMMIT").unwrap();
        job.go_on().ok();
        shop.keeps_its_promises(10);
    }
}

#[test]
fn a_reader_that_never_ends_does_not_swell_the_log_without_bound() {
    let shop = Shop::with_tastes(2000, 300, 10);
    shop.sql("PRAGMA journal_mode = wal");
    shop.night();
    shop.night();
    let mut log = shop.path.clone().into_os_string();
    log.push("-wal");
    let size = || std::fs::metadata(&log).map_or(0, |about| about.len());
    let set = std::fs::metadata(&shop.path).unwrap().len();
    let reader = shop.open();
    reader.execute_batch("BEGIN; SELECT count(*) FROM recommendations").unwrap();
    shop.night();
    let pinned = size();
    assert!(pinned < 3 * set, "one night writes {pinned} bytes into the log of a file of {set}");
    let first: i64 =
        reader.query_row("SELECT min(run_id) FROM recommendations", [], |row| row.get(0)).unwrap();
    assert_eq!(first, 2, "and the reader still sees its own set");
    reader.execute_batch("COMMIT").unwrap();
    // Once it is gone the log is used anew from its beginning, after SQLite's own thousand pages.
    for _ in 0..4 {
        shop.night();
    }
    assert!(size() <= pinned + 1200 * 4096, "{} {pinned}", size());
    shop.keeps_its_promises(10);
}

#[test]
fn damaged_pages_are_reported_and_never_published() {
    let shop = Shop::with_tastes(300, 100, 10);
    shop.night();
    shop.add(5, isbn(90), 9);
    let whole = std::fs::read(&shop.path).unwrap();
    let pages = whole.len() / 4096;
    let (mut reported, mut random) = (0, Random(7));
    for round in 0..24 {
        let page = if round < 4 { round } else { random.below(pages as u64) as usize };
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(if round % 2 == 0 { 0xa5 } else { 0 });
        std::fs::write(&shop.path, &bytes).unwrap();
        let command = if round % 3 == 0 { "backfill" } else { "run" };
        let ran = shop.call(&[command]);
        // A page that nobody looks at, a free one above all, harms nobody.
        assert!([0, 1, 65, 66, 74, 78].contains(&ran.code), "{page}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{page}: {ran:?}");
        reported += i32::from(ran.code == 74 || ran.code == 66);
        std::fs::write(&shop.path, &whole).unwrap();
    }
    assert!(reported >= 8, "only {reported} of 24 damaged pages were noticed");
    shop.night();
    shop.keeps_its_promises(10);
}

#[test]
fn a_schema_that_changes_between_nights_is_told() {
    let shop = Shop::with_tastes(80, 40, 8);
    shop.night();
    let lists = shop.rows(LISTS);
    for (change, code, words, back) in [
        (
            "ALTER TABLE ratings RENAME TO reviews",
            78,
            "no table ratings",
            "ALTER TABLE reviews RENAME TO ratings",
        ),
        (
            "ALTER TABLE ratings RENAME COLUMN rating TO stars",
            78,
            "no column rating",
            "ALTER TABLE ratings RENAME COLUMN stars TO rating",
        ),
        (
            "ALTER TABLE ratings RENAME COLUMN user_id TO reader",
            78,
            "no column user_id",
            "ALTER TABLE ratings RENAME COLUMN reader TO user_id",
        ),
        (
            "CREATE TABLE kept AS SELECT * FROM ratings; DELETE FROM ratings",
            65,
            "is empty",
            "INSERT INTO ratings SELECT * FROM kept; DROP TABLE kept",
        ),
    ] {
        shop.sql(change);
        for command in ["run", "backfill"] {
            shop.call(&[command]).failed(code, words);
            assert_eq!(shop.rows(LISTS), lists, "{change}");
        }
        shop.sql(back);
        assert_eq!(shop.call(&["run", "--json"]).ok().json()["status"], "unchanged", "{back}");
    }
}

#[test]
fn a_table_that_is_written_to_all_the_time_is_no_trouble() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(600, 200, 10);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let connection = shop.open();
                let mut random = Random(3);
                while !stop.load(Ordering::Relaxed) {
                    let (user, book) = (random.below(700) as i64, isbn(random.below(220)));
                    let sql = match random.below(3) {
                        0 => "DELETE FROM ratings WHERE user_id = ?1 AND isbn > ?2",
                        _ => "INSERT INTO ratings VALUES (?1, ?2, 7, NULL)",
                    };
                    connection.execute(sql, (user, book)).unwrap();
                }
            });
            for _ in 0..3 {
                // Whole readers go: the gate would object.
                shop.call(&["run", "--force"]).ok();
                shop.call(&["backfill"]).ok();
            }
            stop.store(true, Ordering::Relaxed);
        });
        shop.backfill(&[]);
        shop.call(&["check"]).ok();
        shop.keeps_its_promises(10);
    }
}

#[test]
fn a_clock_that_goes_backwards_changes_no_order() {
    let shop = Shop::with_tastes(80, 40, 8);
    shop.night();
    shop.sql("UPDATE nightshelf_runs SET started_at = '2099-01-01T00:00:00.000Z', finished_at = '2099-01-01T00:00:09.000Z'");
    shop.add(5, isbn(39), 9);
    assert_eq!(shop.backfill(&[])["metrics"]["model_run"], 1);
    assert_eq!(shop.call(&["run", "--json"]).ok().json()["status"], "published");
    assert_eq!(shop.one::<i64>("SELECT max(run_id) FROM recommendations"), 3);
    let runs = shop.call(&["runs", "--json"]).ok().json();
    let numbers: Vec<i64> =
        runs["runs"].as_array().unwrap().iter().map(|run| run["run_id"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    shop.call(&["rollback"]).ok();
    assert_eq!(shop.one::<i64>("SELECT min(run_id) FROM recommendations"), 1);
    shop.call(&["check"]).ok();
}

#[test]
fn of_several_jobs_at_once_each_works_alone_or_not_at_all() {
    let shop = Shop::with_tastes(300, 100, 10);
    shop.night();
    shop.add(5, isbn(90), 9);
    let file = shop.folder.path().join("more.csv");
    std::fs::write(&file, "user_id,isbn,rating\n77,9780306406157,5\n").unwrap();
    let more = file.to_str().unwrap();
    let commands: [&[&str]; 6] = [
        &["run", "--force"],
        &["backfill"],
        &["run", "--force"],
        &["import", more],
        &["rollback"],
        &["backfill", "--since-run", "1"],
    ];
    for _ in 0..4 {
        let mut got_the_lock = 0;
        let jobs: Vec<_> = commands.iter().map(|command| (command, shop.start(command))).collect();
        for (command, job) in jobs {
            let ran: Ran = job.wait_with_output().unwrap().into();
            // The first rollback of all has nothing to go back to, unless a run came before it; and
            // models of old runs may be gone.
            let may = match command[0] {
                "rollback" => &[0, 1, 75][..],
                "backfill" => &[0, 66, 75],
                _ => &[0, 75],
            };
            assert!(may.contains(&ran.code), "{command:?}: {ran:?}");
            got_the_lock += i32::from(ran.code != 75);
        }
        assert!(got_the_lock > 0, "somebody gets through each time");
        shop.keeps_its_promises(10);
    }
    shop.night();
    shop.call(&["check"]).ok();
}

#[test]
fn a_signal_at_any_stage_stops_cleanly() {
    let shop = Shop::with_tastes(1500, 300, 10);
    shop.sql("PRAGMA journal_mode = wal");
    (0..3).for_each(|_| drop(shop.night()));
    let nightly =
        ["night.begun", "clear.dropped", "draft.prepared", "draft.rows", "model.written", "draft.written"];
    let places = nightly.map(|place| (&["run", "--force"][..], place));
    let backfills = ["backfill.begun", "backfill.batch"].map(|place| (&["backfill"][..], place));
    for (round, (words, place)) in places.into_iter().chain(backfills).enumerate() {
        let backfill = words[0] == "backfill";
        if backfill {
            shop.sql("UPDATE ratings SET rating = (rating + 1) % 10 + 1 WHERE user_id % 2 = 0");
        }
        let lists = shop.rows("SELECT run_id, count(*) FROM recommendations GROUP BY run_id");
        let (signal, code) = if round % 2 == 0 { ("TERM", 143) } else { ("INT", 130) };
        let job = shop.wait_at(place, words);
        shop.signal(&job.job, signal);
        let ran = job.go_on();
        assert_eq!(ran.code, code, "{place}: {ran:?}");
        shop.keeps_its_promises(10);
        assert_eq!(
            shop.one::<String>("SELECT status FROM nightshelf_runs ORDER BY run_id DESC"),
            "interrupted"
        );
        assert_eq!(ran.stderr.contains("nothing was published"), !backfill, "{place}: {}", ran.stderr);
        if !backfill {
            let now = shop.rows("SELECT run_id, count(*) FROM recommendations GROUP BY run_id");
            assert_eq!(now, lists, "{place}: nothing was published");
        }
    }
    shop.backfill(&[]);
    shop.call(&["check"]).ok();
    shop.night();
    shop.call(&["check"]).ok();
}

#[test]
fn small_and_large_pages_are_served_by_every_command() {
    for (size, journal) in [(512, "delete"), (512, "wal"), (65_536, "delete"), (65_536, "wal")] {
        let shop = Shop::with_tastes(300, 100, 10);
        shop.sql(&format!("PRAGMA page_size = {size}; VACUUM; PRAGMA journal_mode = {journal}"));
        assert_eq!(shop.one::<i64>("PRAGMA page_size"), size);
        shop.night();
        shop.sql("CREATE INDEX by_book ON recommendations (isbn)");
        shop.add(5, isbn(90), 9);
        shop.backfill(&[]);
        shop.keeps_its_promises(10);
        shop.night();
        shop.call(&["rollback"]).ok();
        shop.call(&["check"]).ok();
        shop.sql("DELETE FROM ratings WHERE user_id = 7");
        shop.call(&["forget", "--user", "7"]).ok();
        shop.keeps_its_promises(10);
        shop.call(&["rollback"]).ok();
        shop.call(&["check"]).ok();
        shop.keeps_its_promises(10);
    }
}
