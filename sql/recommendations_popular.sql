-- What to show to somebody whom `recommendations` does not know.

CREATE TABLE recommendations_popular (
  rank   INTEGER PRIMARY KEY, -- 1 is best, without gaps
  isbn   TEXT NOT NULL,       -- as the catalogue spells it
  isbn13 TEXT,                -- NULL where the key is no valid ISBN
  score  REAL NOT NULL,       -- how many readers the book has
  run_id INTEGER NOT NULL     -- the night whose model it is of
)
