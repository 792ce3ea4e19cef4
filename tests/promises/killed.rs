//! Killed at any moment: the old set stands or the new one does, and the next run succeeds.

use std::time::{Duration, Instant};

use crate::common::{Random, Shop};

/// `kill -9` at this many moments spread over the whole of a run.
const KILLS: u64 = 24;

#[test]
fn killed_at_any_moment_nothing_is_lost() {
    for journal in ["wal", "delete"] {
        let shop = Shop::with_tastes(1500, 300, 10);
        shop.sql(&format!("PRAGMA journal_mode = {journal}"));
        shop.night();
        shop.sql("CREATE INDEX by_book ON recommendations (isbn)");
        let since = Instant::now();
        shop.night();
        let whole = since.elapsed();
        let per_set: i64 = shop.one("SELECT count(*) FROM recommendations");
        let mut random = Random(whole.as_nanos() as u64);
        let mut met = 0;
        for _ in 0..KILLS / 2 {
            let before: i64 = shop.one("SELECT max(run_id) FROM recommendations");
            let mut night = shop.start(&["run"]);
            std::thread::sleep(Duration::from_micros(random.below(whole.as_micros() as u64)));
            night.kill().unwrap();
            night.wait().unwrap();

            assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
            assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), per_set);
            assert_eq!(shop.one::<i64>("SELECT count(DISTINCT run_id) FROM recommendations"), 1);
            let after: i64 = shop.one("SELECT max(run_id) FROM recommendations");
            let last: i64 = shop.one("SELECT max(run_id) FROM nightshelf_runs");
            assert!(after == before || after == last, "{before} {after} {last}");
            assert_eq!(
                after == last,
                shop.one::<String>("SELECT status FROM nightshelf_runs ORDER BY run_id DESC") == "published"
            );
            met += shop.one::<i64>("SELECT count(*) FROM nightshelf_runs WHERE status = 'running'");
            shop.keeps_its_promises(10);
        }
        assert!(met > 0, "no kill hit a run: the test shows nothing");
        shop.night();
        shop.call(&["rollback"]).ok();
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM recommendations"), per_set);
        assert_eq!(shop.one::<i64>("SELECT count(*) FROM nightshelf_runs WHERE status = 'running'"), 0);
        assert!(shop.one::<i64>("SELECT count(*) FROM nightshelf_runs WHERE status = 'interrupted'") > 0);
        // Nothing is left over: one twin of each table holds the set before, the other is gone.
        let twins: i64 = shop.one("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'nightshelf\\__\\_%' ESCAPE '\\' AND type = 'table'");
        assert_eq!(twins, 2);
        shop.call(&["check"]).ok();
    }
}

#[test]
fn killed_in_the_first_night_there_is_no_half_table() {
    let since = Instant::now();
    Shop::with_tastes(800, 200, 10).night();
    let whole = since.elapsed();
    let shop = Shop::with_tastes(800, 200, 10);
    let mut random = Random(11);
    for _ in 0..6 {
        let mut night = shop.start(&["run"]);
        std::thread::sleep(Duration::from_micros(random.below(whole.as_micros() as u64)));
        night.kill().unwrap();
        night.wait().unwrap();
        let tables: i64 = shop.one("SELECT count(*) FROM sqlite_schema WHERE name = 'recommendations'");
        if tables == 1 {
            assert_eq!(shop.one::<i64>("SELECT count(DISTINCT user_id) FROM recommendations"), 800);
        }
        assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
    }
    shop.night();
    shop.keeps_its_promises(10);
}

#[test]
fn a_full_disk_leaves_the_old_set() {
    let shop = Shop::with_tastes(1500, 300, 10);
    shop.night();
    let lists = shop.rows("SELECT * FROM recommendations");
    // SQLite's own limit on the file's pages is not kept in the file; one on the process's files is
    // what a full disk looks like to it.
    let size = std::fs::metadata(&shop.path).unwrap().len();
    let script = format!("ulimit -f {}; exec \"$@\"", size / 1024 + 40);
    let command = shop.command(&["run"]);
    let mut limited = std::process::Command::new("bash");
    limited.arg("-c").arg(format!("trap '' XFSZ; {script}")).arg("bash").arg(command.get_program());
    limited.args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran: crate::common::Ran = limited.output().unwrap().into();
    assert_eq!(ran.code, 74, "{ran:?}");
    assert!(shop.rows("SELECT * FROM recommendations") == lists);
    assert_eq!(shop.one::<String>("PRAGMA integrity_check"), "ok");
    shop.night();
    shop.keeps_its_promises(10);
}
