-- What stands in a reader's list, and stood in those of earlier nights too: `stale_after` counts these nights.

CREATE TABLE nightshelf_shown (
  user_id NOT NULL,          -- as in the ratings
  isbn    TEXT NOT NULL,     -- as the catalogue spells it
  nights  INTEGER NOT NULL,  -- before this one
  PRIMARY KEY (user_id, isbn)
) WITHOUT ROWID
