-- How many people came each day of the first week?
SELECT DATE(event_time) AS day, COUNT(DISTINCT user_id) AS active_users
FROM events
WHERE event_time < '2026-01-08'
GROUP BY DATE(event_time)
ORDER BY day;
