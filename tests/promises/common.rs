//! Databases to try the program on, and the program.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

use rusqlite::{Connection, ToSql};
use serde_json::Value;
use tempfile::TempDir;

/// The program under test, with an environment of its own.
pub fn nightshelf() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightshelf"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NIGHTSHELF_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// What a call of the program came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The same call, which must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// The same call, which must have ended with `code` and said `words`.
    #[track_caller]
    pub fn failed(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(words), "{words:?} is not in {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// An application's database in a folder of its own.
pub struct Shop {
    pub folder: TempDir,
    pub path: PathBuf,
}

impl Shop {
    /// One with an empty ratings table.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Spaces, quotes and letters beyond ASCII: paths of real people.
        let path = folder.path().join("book's \"shop\" für alle.db");
        let shop = Self { folder, path };
        shop.sql("CREATE TABLE ratings (user_id, isbn, rating, rated_at)");
        shop
    }

    /// One with readers who share tastes: reader u likes books of group u % 4.
    pub fn with_tastes(readers: u64, books: u64, each: u64) -> Self {
        let shop = Self::empty();
        shop.add_tastes(readers, books, each);
        shop
    }

    pub fn add_tastes(&self, readers: u64, books: u64, each: u64) {
        let mut connection = self.open();
        let transaction = connection.transaction().unwrap();
        let mut random = Random(readers * 31 + books);
        {
            let mut insert = transaction.prepare("INSERT INTO ratings VALUES (?1, ?2, ?3, NULL)").unwrap();
            for reader in 0..readers {
                for _ in 0..each {
                    let in_taste = random.below(10) < 8;
                    let group = if in_taste { reader % 4 } else { random.below(4) };
                    // The square favours low numbers: some books are popular.
                    let place = random.below(books / 4) * random.below(books / 4) / (books / 4).max(1);
                    let rating = if in_taste { 6 + random.below(5) } else { 1 + random.below(6) };
                    let rating = if random.below(4) == 0 { 0 } else { rating };
                    insert.execute((reader as i64, isbn(place * 4 + group), rating as i64)).unwrap();
                }
            }
        }
        transaction.commit().unwrap();
    }

    pub fn open(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        // Longer than anything here takes, on however busy a machine.
        connection.busy_timeout(std::time::Duration::from_secs(120)).unwrap();
        teach(&connection);
        // What the application deletes, and moves from page to page, is for it to make unreadable.
        connection.pragma_update(None, "secure_delete", true).unwrap();
        connection
    }

    pub fn sql(&self, sql: &str) {
        self.open().execute_batch(sql).unwrap();
    }

    pub fn add(&self, user: impl ToSql, isbn: impl ToSql, rating: impl ToSql) {
        let sql = "INSERT INTO ratings (user_id, isbn, rating) VALUES (?1, ?2, ?3)";
        self.open().execute(sql, rusqlite::params![user, isbn, rating]).unwrap();
    }

    /// The first column of the first row.
    pub fn one<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.open().query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// Every row, its columns joined by a bar.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let connection = self.open();
        let mut statement = connection.prepare(sql).unwrap();
        let width = statement.column_count();
        let show = |row: &rusqlite::Row<'_>| -> rusqlite::Result<String> {
            let columns: Vec<String> = (0..width)
                .map(|column| match row.get_ref(column).unwrap() {
                    rusqlite::types::ValueRef::Null => "NULL".into(),
                    rusqlite::types::ValueRef::Integer(value) => value.to_string(),
                    rusqlite::types::ValueRef::Real(value) => value.to_string(),
                    rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    rusqlite::types::ValueRef::Blob(_) => "blob".into(),
                })
                .collect();
            Ok(columns.join("|"))
        };
        statement.query_map([], show).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    /// The program with `--db` and settings that make small databases quick.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = nightshelf();
        command.args(words).arg("--db").arg(&self.path);
        command.env("NIGHTSHELF_FACTORS", "8").env("NIGHTSHELF_EPOCHS", "6").env("NIGHTSHELF_DEVICE", "cpu");
        command
    }

    pub fn call(&self, words: &[&str]) -> Ran {
        self.command(words).output().unwrap().into()
    }

    pub fn call_with(&self, words: &[&str], environment: &[(&str, &str)]) -> Ran {
        self.command(words).envs(environment.iter().copied()).output().unwrap().into()
    }

    /// The nightly job, whether or not anything has changed; it must succeed. Its report.
    #[track_caller]
    pub fn night(&self) -> Value {
        self.call(&["run", "--force", "--json"]).ok().json()
    }

    /// A backfill, which must succeed; its report.
    #[track_caller]
    pub fn backfill(&self, flags: &[&str]) -> Value {
        self.call(&[&["backfill", "--json"], flags].concat()).ok().json()
    }

    /// The folder beside the database.
    pub fn beside(&self) -> PathBuf {
        let mut folder = self.path.clone().into_os_string();
        folder.push(".nightshelf");
        folder.into()
    }

    /// Starts the program and returns when it has said a line with these words.
    #[track_caller]
    #[expect(clippy::zombie_processes, reason = "whoever gets it waits for it")]
    pub fn start_until(&self, words: &[&str], line: &str) -> Child {
        let mut job = self.start(words);
        let mut said = BufReader::new(job.stderr.take().unwrap());
        let mut log = String::new();
        loop {
            let before = log.len();
            assert!(said.read_line(&mut log).unwrap() > 0, "{line:?} was not said: {log}");
            if log[before..].contains(line) {
                // Nobody may find the pipe closed.
                std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
                return job;
            }
        }
    }

    /// Sends a signal, by its name, to a program.
    #[track_caller]
    pub fn signal(&self, job: &Child, signal: &str) {
        assert!(Command::new("kill").args(["-s", signal, &job.id().to_string()]).status().unwrap().success());
    }

    /// The program, running.
    pub fn start(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the program until it comes to a fail point (`NAME` or `NAME@VISIT`) and dies there, as of `kill -9`.
    #[track_caller]
    pub fn die_at(&self, place: &str, words: &[&str]) {
        let mut command = self.command(words);
        let output = command.env("NIGHTSHELF_FAIL_POINT", format!("{place}=kill")).output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{place} was not reached: {output:?}");
    }

    /// Starts the program and returns when it waits at a fail point.
    #[track_caller]
    pub fn wait_at(&self, place: &str, words: &[&str]) -> Waiting {
        let file = self.folder.path().join(format!("{place}.waits"));
        let action = format!("{place}=wait:{}", file.display());
        let mut command = self.command(words);
        command.env("NIGHTSHELF_FAIL_POINT", action).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut job = command.spawn().unwrap();
        while !file.exists() {
            if let Some(status) = job.try_wait().unwrap() {
                panic!("{place} was not reached: {status} {:?}", job.wait_with_output());
            }
            std::thread::yield_now();
        }
        Waiting { job, file }
    }

    /// What SPEC promises of the published tables, in plain SQL, and SQLite's own opinion.
    #[track_caller]
    pub fn keeps_its_promises(&self, top: u64) {
        let broken = [
            "SELECT count(*) FROM (SELECT 1 FROM recommendations GROUP BY user_id
              HAVING min(rank) <> 1 OR max(rank) <> count(*))"
                .to_owned(),
            format!(
                "SELECT count(*) FROM (SELECT 1 FROM recommendations GROUP BY user_id HAVING count(*) > {top})"
            ),
            "SELECT count(*) FROM (SELECT 1 FROM recommendations GROUP BY user_id, isbn HAVING count(*) > 1)"
                .to_owned(),
            "SELECT count(*) FROM recommendations JOIN ratings USING (user_id, isbn)".to_owned(),
            "SELECT count(*) FROM recommendations a JOIN recommendations b
              ON a.user_id = b.user_id AND a.rank + 1 = b.rank AND a.score < b.score"
                .to_owned(),
            "SELECT count(*) FROM recommendations WHERE score IS NULL OR abs(score) > 1e30".to_owned(),
            "SELECT count(*) FROM recommendations WHERE run_id NOT IN (SELECT run_id FROM nightshelf_runs)"
                .to_owned(),
        ];
        for sql in broken {
            assert_eq!(self.one::<i64>(&sql), 0, "{sql}");
        }
        assert_eq!(self.one::<String>("PRAGMA integrity_check"), "ok");
    }
}

/// A collation and a function that only the application knows, not the program under test.
fn teach(connection: &Connection) {
    use rusqlite::functions::FunctionFlags;
    connection.create_collation("icu_root", |a: &str, b: &str| b.cmp(a)).unwrap();
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection
        .create_scalar_function("sortconcat", 1, flags, |context| context.get::<Option<String>>(0))
        .unwrap();
}

/// Says that something could not be tested here, and why; all of these are counted at the end of the run.
pub fn skipped(why: &str) {
    static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    extern "C" fn count() {
        let skipped = SKIPPED.lock().map_or(0, |skipped| skipped.len());
        say(&format!("{skipped} skipped, as said above"));
    }
    unsafe extern "C" {
        fn atexit(work: extern "C" fn()) -> i32;
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    say(&format!("skipped: {why} ({test})"));
    let mut skipped = SKIPPED.lock().unwrap();
    if skipped.is_empty() {
        // SAFETY: the function only reads a static and writes to stderr.
        unsafe { atexit(count) };
    }
    skipped.push(why.to_owned());
}

/// A line that is seen although tests that pass are silent.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A program that waits at a fail point.
pub struct Waiting {
    pub job: Child,
    file: PathBuf,
}

impl Waiting {
    /// Lets it go on, and waits for its end.
    pub fn go_on(self) -> Ran {
        std::fs::remove_file(&self.file).unwrap();
        self.job.wait_with_output().unwrap().into()
    }
}

/// The n-th of many distinct valid ISBN-13s.
pub fn isbn(number: u64) -> String {
    let front = format!("978{:09}", 100_000_000 + number);
    let sum: u32 = front
        .bytes()
        .zip([1, 3].into_iter().cycle())
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    format!("{front}{}", (10 - sum % 10) % 10)
}

/// The ISBN-10 of the same book.
pub fn isbn10(number: u64) -> String {
    let front = format!("{:09}", 100_000_000 + number);
    let sum: u32 =
        front.bytes().zip((2..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    match (11 - sum % 11) % 11 {
        10 => format!("{front}X"),
        digit => format!("{front}{digit}"),
    }
}

/// A small generator of numbers that look random and are always the same (Knuth's MMIX constants).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

/// Every file below a folder, and what is in it.
pub fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => found.push((path.clone(), std::fs::read(&path).unwrap())),
            }
        }
    }
    found.sort();
    found
}
