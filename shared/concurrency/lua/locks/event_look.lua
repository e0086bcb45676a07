#!lua flags=allow-oom
-- Reads whether an event is set, or was since the caller looked; if not, the caller is notified when it is set.
-- KEYS event watchers
-- ARGV
--   owner  the process that calls
--   seen   the generation that it saw last, or ''
--   watch  1 to be notified
-- RETURNS 1 if set, or set since; the generation
-- PARTS clock
local stored = redis.call('HMGET', event, 'set', 'generation')
local generation = stored[2] or '0'
if stored[1] == '1' or (seen ~= '' and tonumber(generation) > tonumber(seen)) then return {1, generation} end
if watch == '1' then
  -- Or the generation would begin anew, and look like a set.
  redis.call('PEXPIRE', event, 604800000)
  redis.call('ZREMRANGEBYSCORE', watchers, '-inf', string.format('(%.0f', now))
  redis.call('ZADD', watchers, string.format('%.0f', now + 15000), owner)
  redis.call('PEXPIRE', watchers, 15000)
end
return {0, generation}
