#!lua flags=allow-oom
-- Ends a pause, and wakes all sessions that wait for work: what has gathered may be more than a few of them take.
-- KEYS idle settings
-- RETURNS 1 if the queue had been paused
-- PARTS identity notify
local was_paused = redis.call('HDEL', settings, 'paused')
for _, id in ipairs(redis.call('ZRANGE', idle, 0, -1)) do notify(id, 'wake') end
redis.call('DEL', idle)
return was_paused
