-- What readers of the application query. Made by the first publish, in the same transaction that
-- fills it, so that nobody ever sees it empty.

CREATE TABLE recommendations (
  user_id          NOT NULL,         -- as in the ratings, INTEGER or TEXT: without a type it keeps what it gets
  rank             INTEGER NOT NULL, -- 1 is best, without gaps
  isbn             TEXT NOT NULL,    -- as the catalogue spells it
  isbn13           TEXT,             -- NULL where the key is no valid ISBN
  score            REAL NOT NULL,    -- what the ranking is by; never rises with rank
  predicted_rating REAL,             -- expected stars, inside the rating scale
  source           TEXT NOT NULL,    -- 'model', 'fold-in' or 'popular'
  because          TEXT,             -- the reader's own book that contributed most
  run_id           INTEGER NOT NULL, -- see nightshelf_runs
  PRIMARY KEY (user_id, rank)
) WITHOUT ROWID
