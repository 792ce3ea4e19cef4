-- What to show on a book's own page: the books that its readers like, too.

CREATE TABLE recommendations_similar (
  isbn           TEXT NOT NULL,    -- as the catalogue spells it
  rank           INTEGER NOT NULL, -- 1 is most like it, without gaps
  similar_isbn   TEXT NOT NULL,
  similar_isbn13 TEXT,             -- NULL where the key is no valid ISBN
  score          REAL NOT NULL,    -- never rises with rank
  run_id         INTEGER NOT NULL, -- the night whose model it is of
  PRIMARY KEY (isbn, rank)
) WITHOUT ROWID
