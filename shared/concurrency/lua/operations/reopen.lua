#!lua flags=allow-oom
-- Ends a shutdown.
-- KEYS settings
-- RETURNS 1 if the queue had been shut down
return redis.call('HDEL', settings, 'shutdown')
