#!lua flags=allow-oom
-- Counts what is not finished, and registers the session for a notification when nothing is left.
-- KEYS joiners settings totals
-- ARGV
--   session  the session that waits
-- RETURNS messages not finished
-- PARTS clock unfinished
local GONE_MS = 60000
local left = unfinished()
if left > 0 then
  redis.call('ZADD', joiners, now, session)
  -- Whoever waits asks again once a second: the others are gone.
  local gone = redis.call('ZRANGEBYSCORE', joiners, '-inf', now - GONE_MS, 'LIMIT', 0, 100)
  if #gone > 0 then redis.call('ZREM', joiners, unpack(gone)) end
  redis.call('HSET', settings, 'joining', 1)
end
return left
