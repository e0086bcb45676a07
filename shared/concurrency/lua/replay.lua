#!lua flags=allow-oom
-- Puts dead letters back into pending as room allows, behind the line, past the known ids, with their counts reset.
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
--   lanes       HASH  what was last answered to each process
--   ids         HASH  known ids
--   ids_due     ZSET  known ids by expiry in ms
--   settings    HASH  maxsize, shutdown
--   totals      HASH  replayed, stamp
-- ARGV
--   keys  ... keys of the dead letters, 500 at most
-- RETURNS letters put back, keys that were no dead letters, letters that can not be read (they stay)
-- PARTS clock identity sessions room tell wake ids stamp admit
local maxsize = tonumber(redis.call('HGET', settings, 'maxsize') or 0)
if redis.call('HGET', settings, 'shutdown') then return {-1, 0, 0} end
if redis.call('LLEN', line) > 0 then admit(room(maxsize)) end
local free = redis.call('LLEN', line) > 0 and 0 or room(maxsize)
local replayed, missing, unreadable = 0, 0, 0
for _, key in ipairs(keys) do
  local letter = redis.call('HGET', dead, key)
  local entry = letter and string.sub(letter, string.find(letter, '\n', 1, true) + 1)
  if not letter then
    missing = missing + 1
  elseif #entry < 52 or string.sub(entry, 17, 38) ~= key then
    unreadable = unreadable + 1
  elseif free > replayed then
    redis.call('RPUSH', pending, next_stamp() .. key .. '0000000000' .. string.sub(entry, 49))
    redis.call('HDEL', dead, key)
    redis.call('ZREM', dead_index, key)
    replayed = replayed + 1
  end
end
count_put(0)
if replayed > 0 then
  redis.call('HINCRBY', totals, 'replayed', replayed)
  wake_one()
end
return {replayed, missing, unreadable}
