#!lua flags=allow-oom
-- Shuts a queue down: no put enters, the line is emptied. At once: what waits for delivery becomes dead letters.
-- KEYS
--   pending     LIST  entries never delivered
--   returned    LIST  entries given back
--   suspects    LIST  entries of two crashes or more
--   delayed     ZSET  entries waiting for their next attempt
--   line        LIST  keys of waiting puts
--   bodies      HASH  key -> session and entry of a waiting put
--   dead        HASH  key -> dead letter
--   dead_index  ZSET  key -> time of death in ms
--   sessions    ZSET  session -> deadline in ms
--   idle        ZSET  sessions that wait for work
--   joiners     ZSET  sessions that wait for the end
--   settings    HASH  shutdown, joining
--   totals      HASH  dead
-- ARGV
--   immediate  1: nothing more is handed out
-- RETURNS messages still to be made dead letters: call again while there are some
-- PARTS clock identity sessions room unfinished tell wake bury finish
redis.call('HSET', settings, 'shutdown', immediate == '1' and 'immediate' or 'drain')
local told = {}
for _, parked in ipairs(redis.call('HVALS', bodies)) do told[owner_of(parked)] = true end
redis.call('DEL', line, bodies)
for owner in pairs(told) do tell(owner, 'shutdown') end

local buried = 0
local function bury_all(entries)
  for _, entry in ipairs(entries) do
    bury(string.sub(entry, 17, 38), entry, 'shutdown', 'the queue was shut down before it was handled')
  end
  buried = buried + #entries
  return #entries
end
if immediate == '1' then
  for _, list in ipairs({pending, returned, suspects}) do
    local count = bury_all(redis.call('LRANGE', list, 0, 499 - buried))
    if count > 0 then redis.call('LTRIM', list, count, -1) end
  end
  if buried < 500 then
    local count = bury_all(redis.call('ZRANGE', delayed, 0, 499 - buried))
    if count > 0 then redis.call('ZREMRANGEBYRANK', delayed, 0, count - 1) end
  end
end
tell_if_finished(true, redis.call('HGET', settings, 'joining'))
local fresh, later = waiting()
return immediate == '1' and fresh + later or 0
