-- What is read now of each category: a genre, or what the query in [categories] says.

CREATE TABLE recommendations_popular_by (
  category TEXT NOT NULL,
  rank     INTEGER NOT NULL, -- 1 is best, without gaps
  isbn     TEXT NOT NULL,    -- as the catalogue spells it
  isbn13   TEXT,             -- NULL where the key is no valid ISBN
  score    REAL NOT NULL,    -- how many readers the book has, recent ones counting more where there are times
  run_id   INTEGER NOT NULL, -- the night whose model it is of
  PRIMARY KEY (category, rank)
) WITHOUT ROWID
