-- What a web backend asks. Copy from here, and adapt the names of your own tables.
--
-- Parameters: :user_id, :isbn, :limit. Bind :user_id with the type that your ratings table holds, an
-- integer as an integer: `recommendations` keeps ids as they are, and there '42' is not 42.
--
-- `isbn` is spelled as your ratings spell it most often. If your books are spelled another way (say
-- ISBN-13 beside ISBN-10), keep the ISBN-13 in a column of books and join ON b.isbn13 = r.isbn13.

-- The list of one reader, best first, with titles. LEFT JOIN, because a book may have ratings and no
-- row in books.
SELECT r.rank, r.isbn, b.title, b.author, r.predicted_rating, r.because, w.title AS because_title
  FROM recommendations AS r
  LEFT JOIN books AS b ON b.isbn = r.isbn
  LEFT JOIN books AS w ON w.isbn = r.because
 WHERE r.user_id = :user_id
 ORDER BY r.rank
 LIMIT :limit;

-- The same for anybody: a reader whom the table does not know (new today, or not logged in, when
-- :user_id is NULL) gets what is popular. Known or not is decided in the same statement, and so on
-- the same set.
SELECT rank, isbn, title, predicted_rating, because, source
  FROM (SELECT rank, isbn, predicted_rating, because, source
          FROM recommendations
         WHERE user_id = :user_id
        UNION ALL
        SELECT rank, isbn, NULL, NULL, 'popular'
          FROM recommendations_popular
         WHERE NOT EXISTS (SELECT 1 FROM recommendations WHERE user_id = :user_id))
  LEFT JOIN books USING (isbn)
 ORDER BY rank
 LIMIT :limit;

-- The list of one reader without the books that they have rated since last night, where both are
-- spelled alike. Ask nightshelf for a few more than you show (top = 20 for a page of 10), so that
-- enough are left, and have an index on ratings (user_id).
SELECT r.rank, r.isbn, b.title, r.predicted_rating
  FROM recommendations AS r
  LEFT JOIN books AS b USING (isbn)
 WHERE r.user_id = :user_id
   AND NOT EXISTS (SELECT 1 FROM ratings AS t WHERE t.user_id = r.user_id AND t.isbn = r.isbn)
 ORDER BY r.rank
 LIMIT :limit;

-- Who would be shown a given book, those first for whom it stands highest. :isbn may be the
-- catalogue's spelling or the ISBN-13. This looks at the whole table; if you ask often, make indexes
-- on recommendations (isbn) and (isbn13) once: they stay through every night.
SELECT user_id, rank, score, predicted_rating, because
  FROM recommendations
 WHERE isbn = :isbn OR isbn13 = :isbn
 ORDER BY rank, score DESC
 LIMIT :limit;

-- How old is the set that readers see? Its run is the one that the rows name, which after a rollback
-- is not the newest. No row: nothing was published yet, or the run's row was deleted.
SELECT run_id, device, started_at, finished_at,
       round((julianday('now') - julianday(finished_at)) * 24, 1) AS hours_old
  FROM nightshelf_runs
 WHERE run_id = (SELECT max(run_id) FROM recommendations_popular);

-- The history of runs, newest first, with what went in and what came out. Columns from JSON are NULL
-- where a run did not get that far, and for a rollback.
SELECT run_id, kind, status, started_at, device,
       json_extract(timings, '$.total_s')          AS seconds,
       json_extract(counts, '$.ratings.read')      AS ratings_read,
       json_extract(counts, '$.ratings.kept')      AS ratings_kept,
       json_extract(counts, '$.ratings.rejected')  AS ratings_rejected,
       json_extract(counts, '$.users')             AS readers,
       json_extract(counts, '$.items')             AS books,
       json_extract(counts, '$.recommendations')   AS rows_out,
       json_extract(metrics, '$.coverage')         AS coverage,
       error
  FROM nightshelf_runs
 ORDER BY run_id DESC
 LIMIT :limit;

-- What the last published night could not use: a line for each reason, with a few of the rows.
SELECT x.reason, x.count, (SELECT group_concat(value, ' | ') FROM json_each(x.examples)) AS examples
  FROM nightshelf_rejects AS x
 WHERE x.run_id = (SELECT max(run_id) FROM nightshelf_runs WHERE kind = 'nightly' AND status = 'published')
 ORDER BY x.count DESC;

-- A book's own page: what is like it. :isbn as the catalogue spells it.
SELECT s.rank, s.similar_isbn, b.title, b.author
  FROM recommendations_similar AS s
  LEFT JOIN books AS b ON b.isbn = s.similar_isbn
 WHERE s.isbn = :isbn
 ORDER BY s.rank
 LIMIT :limit;

-- A basket of several books: what is like most of them, without those that are in it.
WITH basket (isbn) AS (VALUES (:isbn), ('9780140449136'), ('0451524934'))
SELECT s.similar_isbn, b.title, sum(s.score) AS score
  FROM recommendations_similar AS s
  JOIN basket USING (isbn)
  LEFT JOIN books AS b ON b.isbn = s.similar_isbn
 WHERE s.similar_isbn NOT IN (SELECT isbn FROM basket)
 GROUP BY s.similar_isbn
 ORDER BY score DESC, s.similar_isbn
 LIMIT :limit;

-- What is read now of each genre, for a page of shelves.
SELECT category, rank, p.isbn, b.title
  FROM recommendations_popular_by AS p
  LEFT JOIN books AS b ON b.isbn = p.isbn
 WHERE rank <= 5
 ORDER BY category, rank;

-- Did it work? What readers picked up in the last fourteen published runs, and how much of it stood in their lists.
SELECT sum(json_extract(metrics, '$.proof.picks')) AS picked_up,
       sum(json_extract(metrics, '$.proof.hits')) AS in_their_lists,
       sum(json_extract(metrics, '$.proof.popular_hits')) AS in_the_popular_list
  FROM (SELECT metrics FROM nightshelf_runs WHERE status = 'published' ORDER BY run_id DESC LIMIT 14);
