#!lua flags=allow-oom
-- Notifies the first waiters whose processes receive it.
-- KEYS waiters alive notified holders
-- ARGV
--   hold   the caller's hold of the lock
--   count  how many to notify; 0 for all
-- RETURNS how many were notified; -1 when the caller has lost the lock
-- PARTS clock identity notify
local deadline = redis.call('ZSCORE', holders, hold)
if not deadline or tonumber(deadline) < now then return -1 end
local limit, count_notified = tonumber(count), 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', string.format('(%.0f', now))) do
  redis.call('ZREM', alive, id)
  redis.call('ZREM', waiters, id)
end
redis.call('ZREMRANGEBYSCORE', notified, '-inf', string.format('%.0f', now - 600000))
for _, id in ipairs(redis.call('ZRANGE', waiters, 0, -1)) do
  if limit > 0 and count_notified >= limit then break end
  if notify(id, 'notified') > 0 then
    count_notified = count_notified + 1
    redis.call('ZADD', notified, string.format('%.0f', now), id)
    redis.call('ZREM', alive, id)
    redis.call('ZREM', waiters, id)
  end
end
redis.call('PEXPIRE', notified, 600000)
return count_notified
