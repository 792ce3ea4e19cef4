-- nightshelf's own tables. The application's tables are never touched.
-- `recommendations` and `recommendations_popular` are made by the first publish, full from the start:
-- see sql/recommendations.sql. None of them is STRICT: a program with a SQLite before 3.37 could not open the
-- database at all.

CREATE TABLE IF NOT EXISTS nightshelf_meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- One row for each time the job ran.
CREATE TABLE IF NOT EXISTS nightshelf_runs (
  run_id       INTEGER PRIMARY KEY AUTOINCREMENT,
  kind         TEXT NOT NULL CHECK (kind IN ('nightly', 'backfill', 'rollback')),
  status       TEXT NOT NULL CHECK (status IN
                 ('running', 'published', 'unchanged', 'refused', 'failed', 'interrupted')),
  started_at   TEXT NOT NULL,  -- RFC 3339, UTC
  finished_at  TEXT,
  version      TEXT NOT NULL,  -- of nightshelf
  device       TEXT,
  counts       TEXT,           -- JSON: rows in, users, items, rows out
  config       TEXT,           -- JSON: every setting
  metrics      TEXT,           -- JSON
  timings      TEXT,           -- JSON: seconds by stage
  input_digest TEXT,           -- the same for the same ratings
  error        TEXT
);

-- Rows of the input that could not be used: how many, why, and a few of them.
CREATE TABLE IF NOT EXISTS nightshelf_rejects (
  reject_id INTEGER PRIMARY KEY,
  run_id    INTEGER,           -- NULL for an import
  origin    TEXT NOT NULL,     -- 'ratings', or the full path of an imported file
  reason    TEXT NOT NULL,
  count     INTEGER NOT NULL,
  examples  TEXT NOT NULL      -- JSON: a few of the rows
);

-- How far the import of each file has come, so that it can be resumed.
CREATE TABLE IF NOT EXISTS nightshelf_imports (
  file     TEXT PRIMARY KEY,   -- full path
  size     INTEGER NOT NULL,
  modified TEXT NOT NULL,
  records  INTEGER NOT NULL,   -- read so far
  finished INTEGER NOT NULL
) WITHOUT ROWID;

-- What `tune` has tried, so that it can go on where it was stopped.
CREATE TABLE IF NOT EXISTS nightshelf_trials (
  task        TEXT NOT NULL,     -- the ratings and the settings that it began with, in short
  trial       INTEGER NOT NULL,  -- 0: the settings as they were
  factors     INTEGER NOT NULL,
  figure      TEXT NOT NULL,     -- what score is about
  score       REAL NOT NULL,     -- more is better; of RMSE the square, below zero
  settings    TEXT NOT NULL,     -- JSON
  seconds     REAL NOT NULL,
  finished_at TEXT NOT NULL,     -- RFC 3339, UTC
  PRIMARY KEY (task, trial, factors)
) WITHOUT ROWID;
