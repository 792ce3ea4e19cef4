-- What each list was made from, so that `backfill` sees who has changed. Published with the lists,
-- and put back with them by `rollback`.

CREATE TABLE nightshelf_readers (
  user_id PRIMARY KEY,      -- as in the ratings
  digest  INTEGER NOT NULL, -- of this reader's books and ratings; XXH3, 64 bits
  ratings INTEGER,          -- how many these were
  popular INTEGER           -- how many of them stood in the popular list, as far as lists are long
) WITHOUT ROWID
