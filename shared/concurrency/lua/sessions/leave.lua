#!lua flags=allow-oom
-- Ends a session: gives back what it holds, takes its waiting puts out of the line. Ending one that is over is no error.
-- KEYS
--   returned    LIST  where its deliveries go
--   suspects    LIST  where those of two crashes or more go
--   leased      HASH  field -> entry, what it holds
--   handed      HASH  session -> the entry that a put handed to it; empty while it waits for one
--   line        LIST  keys of waiting puts
--   bodies      HASH  key -> session and entry of a waiting put
--   dead        HASH  key -> dead letter
--   dead_index  ZSET  key -> time of death in ms
--   sessions    ZSET  session -> deadline in ms
--   ids         HASH  known ids
--   ids_due     ZSET  known ids by expiry in ms
--   results     HASH  key -> outcome of a message that was submitted
--   results_due ZSET  the same keys by when they expire in ms
--   given_up    ZSET  key of a message whose result nobody wants any more -> when in ms
--   idle        ZSET  sessions that wait for work
--   totals      HASH  dead
-- ARGV
--   session    the session's id
--   withdrawn  keys (22 bytes each) to take out of the line
-- RETURNS deliveries given back, deliveries still to give back
-- PARTS clock identity sessions tell wake answer bury put_back receive
for at = 1, #withdrawn, 22 do
  local key = string.sub(withdrawn, at, at + 21)
  redis.call('LREM', line, 1, key)
  redis.call('HDEL', bodies, key)
end
redis.call('ZREM', idle, session)
if not is_live(session) then return {0, 0} end
receive(session)
local fields = redis.call('HKEYS', leased)
table.sort(fields)
local batch = {unpack(fields, 1, math.min(200, #fields))}
put_back(batch, 0)
if #batch == #fields then redis.call('ZREM', sessions, session) end
if #batch > 0 then wake_one() end
return {#batch, #fields - #batch}
