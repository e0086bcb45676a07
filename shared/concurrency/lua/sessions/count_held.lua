#!lua flags=allow-oom
-- Counts what one session holds.
-- KEYS
--   leased  HASH  field -> entry, what the session holds
--   handed  HASH  session -> the entry that a put handed to it; empty while it waits for one
-- ARGV
--   session  the session
-- RETURNS deliveries
local parked = redis.call('HGET', handed, session)
return redis.call('HLEN', leased) + (parked and parked ~= '' and 1 or 0)
