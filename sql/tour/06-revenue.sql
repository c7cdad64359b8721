-- What do people pay, by country?
SELECT country, COUNT(*) AS payments, SUM(amount) AS revenue, ROUND(AVG(amount), 2) AS average
FROM events
WHERE event_name = 'pay'
GROUP BY country
ORDER BY revenue DESC
LIMIT 3;
