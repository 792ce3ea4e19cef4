-- A few readers to show in the demo: with enough high marks to see a taste in, and far apart in
-- the table, so that they are not three of a kind.

SELECT user_id, name
  FROM (SELECT user_id, name, row_number() OVER (ORDER BY user_id) AS place, count(*) OVER () AS all_of_them
          FROM readers
          JOIN (SELECT user_id FROM ratings WHERE rating BETWEEN 8 AND 10
                 GROUP BY user_id HAVING count(*) BETWEEN 6 AND 14) USING (user_id))
 WHERE place % max(1, all_of_them / ?1) = 1
 ORDER BY user_id
 LIMIT ?1
