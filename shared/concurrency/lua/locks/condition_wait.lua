#!lua flags=allow-oom
-- Has somebody wait for a notification, or tells him that it has come. Asked again, it keeps his place.
-- KEYS
--   waiters   ZSET  who waits, by arrival
--   alive     ZSET  who waits -> until when he is believed to, in ms; he asks again before
--   notified  ZSET  who has been notified and has not said that he knows -> when, in ms
-- ARGV
--   id  the waiter
-- RETURNS 1 if notified
-- PARTS clock identity
if redis.call('ZSCORE', notified, id) then return 1 end
if not redis.call('ZSCORE', waiters, id) then redis.call('ZADD', waiters, string.format('%.0f', now_us), id) end
redis.call('ZADD', alive, string.format('%.0f', now + math.min(3000, time_to_live(id))), id)
for _, key in ipairs({waiters, alive}) do redis.call('PEXPIRE', key, 7 * 24 * 3600 * 1000) end
return 0
