#!lua flags=allow-oom
-- Ends a wait for a notification.
-- KEYS
--   waiters   ZSET  who waits, by arrival
--   alive     ZSET  who waits -> until when he is believed to, in ms
--   notified  ZSET  who has been notified and has not said that he knows -> when, in ms
-- ARGV
--   id  the waiter
-- RETURNS 1 if he had been notified
redis.call('ZREM', waiters, id)
redis.call('ZREM', alive, id)
return redis.call('ZREM', notified, id)
