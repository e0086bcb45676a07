#!lua flags=allow-oom
-- Counts what one session holds.
-- KEYS leased handed
-- ARGV
--   session  the session
-- RETURNS deliveries
local parked = redis.call('HGET', handed, session)
return redis.call('HLEN', leased) + (parked and parked ~= '' and 1 or 0)
