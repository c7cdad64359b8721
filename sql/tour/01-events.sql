-- What is there? Two million events of an online shop.
SELECT COUNT(*) AS events, COUNT(DISTINCT user_id) AS users, MIN(event_time) AS first, MAX(event_time) AS last
FROM events;
