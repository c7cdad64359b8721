-- The right to be forgotten: one statement, one commit.
DELETE FROM events WHERE user_id = 42;
SELECT COUNT(*) AS left_of_user_42 FROM events WHERE user_id = 42;
