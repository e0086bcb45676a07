#!lua flags=allow-oom
-- Deletes dead letters.
-- KEYS
--   dead        HASH  key -> dead letter
--   dead_index  ZSET  key -> time of death in ms
-- ARGV
--   keys  ... keys of the dead letters, 500 at most
-- RETURNS letters deleted
if #keys == 0 then return 0 end
redis.call('ZREM', dead_index, unpack(keys))
return redis.call('HDEL', dead, unpack(keys))
