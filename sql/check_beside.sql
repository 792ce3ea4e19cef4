-- What must be true of the lists beside those of the readers. As in check.sql; `?1` is not asked for.

SELECT 'the lists of categories have no gaps' AS promise, count(*) AS broken, min(category) AS example
  FROM (SELECT category FROM recommendations_popular_by
         GROUP BY category COLLATE BINARY HAVING min(rank) <> 1 OR max(rank) <> count(*))
UNION ALL
SELECT 'the lists of similar books have no gaps', count(*), min(isbn)
  FROM (SELECT isbn FROM recommendations_similar
         GROUP BY isbn COLLATE BINARY HAVING min(rank) <> 1 OR max(rank) <> count(*))
UNION ALL
SELECT 'no book is like itself, or stands twice in a list of similar ones', count(*), min(isbn)
  FROM (SELECT isbn FROM recommendations_similar
         GROUP BY isbn COLLATE BINARY, coalesce(similar_isbn13, similar_isbn)
        HAVING count(*) > 1 OR min(isbn = similar_isbn) = 1)
UNION ALL
SELECT 'scores of similar books never rise with rank', count(*), min(isbn)
  FROM (SELECT isbn, score > lag(score, 1, score) OVER (PARTITION BY isbn COLLATE BINARY ORDER BY rank) AS rises
          FROM recommendations_similar) WHERE rises
