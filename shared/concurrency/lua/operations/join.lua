#!lua flags=allow-oom
-- Counts what is not finished, and registers the session for a notification when nothing is left.
-- KEYS joiners settings totals
-- ARGV
--   session  the session that waits
-- RETURNS messages not finished
-- PARTS clock unfinished
local left = unfinished()
if left > 0 then
  redis.call('ZADD', joiners, now, session)
  redis.call('HSET', settings, 'joining', 1)
end
return left
