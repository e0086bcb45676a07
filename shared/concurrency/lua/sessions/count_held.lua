#!lua flags=allow-oom,no-writes
-- Counts what one session holds.
-- KEYS leased handed
-- ARGV
--   session  the session
-- RETURNS deliveries
local received = redis.call('HGET', handed, session)
return redis.call('HLEN', leased) + (received and received ~= '' and 1 or 0)
