#!lua flags=allow-oom
-- Pauses a queue: nothing is delivered until it is resumed. All else goes on.
-- KEYS settings
-- RETURNS 1 if the queue had not been paused
return redis.call('HSET', settings, 'paused', 1)
