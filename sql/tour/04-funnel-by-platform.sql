-- On which platform do carts turn into payments within the hour?
SELECT platform, SUM(level >= 1) AS carts, SUM(level = 2) AS paid, ROUND(100 * SUM(level = 2) / SUM(level >= 1), 1) AS percent
FROM (
  SELECT platform, user_id,
         window_funnel(INTERVAL 1 HOUR, 'strict_increase', event_time, event_name = 'add_to_cart', event_name = 'pay') AS level
  FROM events
  GROUP BY platform, user_id
) AS funnel
GROUP BY platform
ORDER BY percent DESC;
