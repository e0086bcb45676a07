#!lua flags=allow-oom
-- Ends a wait for a notification, or hands one on that came too late to be used.
-- KEYS waiters alive notified
-- ARGV
--   id        the waiter
--   in_doubt  1 when its request may still be on its way, on a connection that was dropped: it finds itself notified
--   pass_on   1 when it was notified and cannot go on: the next waiter is notified in its place
-- RETURNS 1 if it had been notified
-- PARTS clock identity notify
redis.call('ZREM', waiters, id)
redis.call('ZREM', alive, id)
local was_notified = redis.call('ZREM', notified, id)
if in_doubt == '1' then
  redis.call('ZADD', notified, string.format('%.0f', now), id)
  redis.call('PEXPIRE', notified, 600000)
end
if pass_on == '1' then
  for _, other in ipairs(redis.call('ZRANGE', waiters, 0, 999)) do
    local patient_until = redis.call('ZSCORE', alive, other)
    if patient_until and tonumber(patient_until) >= now and notify(other, 'notified', other) > 0 then
      redis.call('ZADD', notified, string.format('%.0f', now), other)
      redis.call('PEXPIRE', notified, 600000)
      redis.call('ZREM', alive, other)
      redis.call('ZREM', waiters, other)
      break
    end
  end
end
return was_notified
