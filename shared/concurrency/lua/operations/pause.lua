#!lua flags=allow-oom
-- Pauses a queue: nothing is delivered until it is resumed. All else goes on.
-- KEYS settings lanes
-- ARGV
--   session  the caller's session
--   number   this step's number in its lane; a repetition carries the same
-- RETURNS 1 if the queue had not been paused
-- PARTS clock identity level one_effect
local before = answered()
if before then return before end
return answer_once({redis.call('HSET', settings, 'paused', 1)})
