-- Other people's files are tables, too.
CREATE TABLE countries AS SELECT code, name FROM read_csv('fixtures/countries.csv');
SELECT c.name, COUNT(DISTINCT e.user_id) AS buyers
FROM events AS e JOIN countries AS c ON c.code = e.country
WHERE e.event_name = 'pay'
GROUP BY c.name
ORDER BY buyers DESC
LIMIT 3;
