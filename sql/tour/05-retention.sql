-- Of the people who signed up on the first day, how many were back on day 1, day 3 and day 7, by channel?
SELECT channel, SUM(r[1]) AS day_0, SUM(r[2]) AS day_1, SUM(r[3]) AS day_3, SUM(r[4]) AS day_7
FROM (
  SELECT channel, user_id,
         retention(event_name = 'signup' AND event_time < '2026-01-02',
                   DATE(event_time) = '2026-01-02', DATE(event_time) = '2026-01-04', DATE(event_time) = '2026-01-08') AS r
  FROM events
  GROUP BY channel, user_id
) AS returns
GROUP BY channel
ORDER BY channel;
