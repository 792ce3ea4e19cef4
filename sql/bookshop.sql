-- The demo's bookshop, as an application might have made it.

CREATE TABLE books (isbn TEXT PRIMARY KEY, title TEXT, author TEXT, year INT, publisher TEXT);
CREATE TABLE readers (user_id INTEGER PRIMARY KEY, name TEXT);
-- No types on isbn and rating: whatever the application stored, it gets back.
CREATE TABLE ratings (user_id INTEGER NOT NULL, isbn, rating, rated_at TEXT);
CREATE INDEX ratings_by_reader ON ratings (user_id);
