#!lua flags=allow-oom
-- Ends a pause, and wakes sessions that wait for work, 1000 at most: what has gathered may be more than a few of them take. Each that
-- leaves something wakes the next.
-- KEYS idle settings lanes
-- ARGV
--   session  the caller's session
--   number   this step's number in its lane; a repetition carries the same
-- RETURNS 1 if the queue had been paused
-- PARTS clock identity level notify one_effect
local before = answered()
if before then return before end
local was_paused = redis.call('HDEL', settings, 'paused')
local first = redis.call('ZPOPMIN', idle, 1000)
for i = 1, #first, 2 do notify(first[i], 'wake') end
return answer_once({was_paused})
