#!lua flags=allow-oom
-- Changes the bound; lets waiting puts in where there is room now.
-- KEYS
--   pending   LIST  entries never delivered
--   returned  LIST  entries given back
--   suspects  LIST  entries of two crashes or more
--   delayed   ZSET  entries waiting for their next attempt
--   line      LIST  keys of waiting puts
--   bodies    HASH  key -> session and entry of a waiting put
--   sessions  ZSET  session -> deadline in ms
--   idle      ZSET  sessions that wait for work
--   lanes     HASH  what was last answered to each process
--   ids       HASH  known ids
--   ids_due   ZSET  known ids by expiry in ms
--   settings  HASH  maxsize
--   totals    HASH  put, stamp
-- ARGV
--   maxsize  the new bound in messages, 0 for none
-- RETURNS waiting puts let in
-- PARTS clock identity sessions room tell wake ids stamp admit
redis.call('HSET', settings, 'maxsize', maxsize)
local count = admit(room(tonumber(maxsize)))
if count > 0 then wake_one() end
return count
