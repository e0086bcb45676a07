#!lua flags=allow-oom
-- Notifies the first waiters whose processes receive it.
-- KEYS waiters alive notified holders calls
-- ARGV
--   hold      the caller's hold of the lock
--   count     how many to notify; 0 for all
--   call      the id of this call: sent again it notifies nobody else
--   answered  the id of a call whose answer has come, or ''
-- RETURNS how many were notified, COUNT when the call is sent again; -1 when the caller has lost the lock
-- PARTS clock identity notify calls
if ran_before() then return tonumber(count) end
local deadline = redis.call('ZSCORE', holders, hold)
if not deadline or tonumber(deadline) < now then return -1 end
note_call()
local limit, count_notified = tonumber(count), 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', string.format('(%.0f', now))) do
  redis.call('ZREM', alive, id)
  redis.call('ZREM', waiters, id)
end
redis.call('ZREMRANGEBYSCORE', notified, '-inf', string.format('%.0f', now - 600000))
for _, id in ipairs(redis.call('ZRANGE', waiters, 0, -1)) do
  if limit > 0 and count_notified >= limit then break end
  if notify(id, 'notified', id) > 0 then
    count_notified = count_notified + 1
    redis.call('ZADD', notified, string.format('%.0f', now), id)
    redis.call('ZREM', alive, id)
    redis.call('ZREM', waiters, id)
  else
    -- The clock may have been set back.
    redis.call('ZADD', alive, 'XX', 'LT', string.format('%.0f', now + time_to_live(id)), id)
  end
end
redis.call('PEXPIRE', notified, 600000)
return count_notified
