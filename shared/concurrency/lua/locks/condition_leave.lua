#!lua flags=allow-oom
-- Ends a wait for a notification.
-- KEYS waiters alive notified
-- ARGV
--   id  the waiter
-- RETURNS 1 if it had been notified
redis.call('ZREM', waiters, id)
redis.call('ZREM', alive, id)
return redis.call('ZREM', notified, id)
