-- How far do people get from a product to the payment, within one day?
SELECT level, COUNT(*) AS users
FROM (
  SELECT window_funnel(INTERVAL 1 DAY, 'default', event_time,
           event_name = 'product_view', event_name = 'add_to_cart', event_name = 'checkout', event_name = 'pay') AS level
  FROM events
  GROUP BY user_id
) AS funnel
GROUP BY level
ORDER BY level;
