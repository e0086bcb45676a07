#!lua flags=allow-oom
-- Has a waiter wait for a notification, or says that it has come. Called again, it keeps the place.
-- KEYS waiters alive notified
-- ARGV
--   id  the waiter; it counts as alive for its time to live
-- RETURNS 1 if notified
-- PARTS clock identity
if redis.call('ZSCORE', notified, id) then return 1 end
-- Those whose processes have died, some at a time: nobody may ever notify.
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', string.format('(%.0f', now), 'LIMIT', 0, 100)) do
  if dead ~= id then
    redis.call('ZREM', alive, dead)
    redis.call('ZREM', waiters, dead)
  end
end
if not redis.call('ZSCORE', waiters, id) then redis.call('ZADD', waiters, string.format('%.0f', now_us), id) end
redis.call('ZADD', alive, string.format('%.0f', now + time_to_live(id)), id)
for _, key in ipairs({waiters, alive}) do redis.call('PEXPIRE', key, 7 * 24 * 3600 * 1000) end
return 0
