-- What must be true of the published tables. Each query names a promise and counts what breaks it,
-- with one example. `?1` is the greatest number of rows a reader may have.

SELECT 'ranks go from 1 without gaps' AS promise, count(*) AS broken, min(user_id) AS example
  FROM (SELECT user_id FROM recommendations
         GROUP BY user_id COLLATE BINARY HAVING min(rank) <> 1 OR max(rank) <> count(*))
UNION ALL
SELECT 'no reader has more rows than asked for', count(*), min(user_id)
  FROM (SELECT user_id FROM recommendations GROUP BY user_id COLLATE BINARY HAVING count(*) > ?1)
UNION ALL
SELECT 'no book stands twice in a list', count(*), min(user_id)
  FROM (SELECT user_id FROM recommendations
         GROUP BY user_id COLLATE BINARY, coalesce(isbn13, isbn) HAVING count(*) > 1)
UNION ALL
SELECT 'scores are finite', count(*), min(user_id)
  FROM recommendations WHERE abs(score) > 1e300
UNION ALL
SELECT 'scores never rise with rank', count(*), min(user_id)
  FROM (SELECT user_id, score > lag(score, 1, score) OVER (PARTITION BY user_id COLLATE BINARY ORDER BY rank) AS rises
          FROM recommendations) WHERE rises
UNION ALL
SELECT 'every row is of a known run', count(*), min(user_id)
  FROM recommendations WHERE run_id NOT IN (SELECT run_id FROM nightshelf_runs)
UNION ALL
SELECT 'the popular list has no gaps', count(*) <> coalesce(max(rank), 0), NULL
  FROM recommendations_popular
