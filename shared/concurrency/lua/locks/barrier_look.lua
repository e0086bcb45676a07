#!lua flags=allow-oom,no-writes
-- Reads how many wait at a barrier, and whether it is broken.
-- KEYS barrier deadlines
-- ARGV
-- RETURNS how many wait; 1 if it is broken
-- PARTS clock
local count = redis.call('ZCOUNT', deadlines, string.format('%.0f', now), '+inf')
return {count, redis.call('HEXISTS', barrier, 'broken')}
