-- What did one buyer do last?
SELECT event_time, event_name, platform, amount, props
FROM events
WHERE user_id = (SELECT MIN(user_id) FROM events WHERE event_name = 'pay' AND event_time >= '2026-01-20')
ORDER BY event_time DESC
LIMIT 5;
