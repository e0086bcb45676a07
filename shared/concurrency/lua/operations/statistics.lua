#!lua flags=allow-oom,no-writes
-- Counts a queue, changing nothing.
-- KEYS pending returned suspects delayed bodies dead dead_index settings totals
-- FLOW
--   behind passed released ready gated
-- END
-- RETURNS 'flow' and the level for the plain set in a queue that has one; or pending, leased, delayed, dead, puts waiting, those of them that came with an acknowledgement, age of the oldest
--   pending in us, put, acked, nacked, dead in all, recovered, maxsize, max_attempts, 1 if shut down, age of the oldest dead letter
--   in ms, 1 if paused, cancelled, max_crashes, discarded, max_dead or 0, dead_for in ms or 0, how many stand behind another of their key,
--   replaced, how many at the gates of limits
-- PARTS clock level counts
local level = redis.call('HGET', settings, 'flow')
if level and KNOWN_LEVEL == 0 then return {'flow', tonumber(level)} end
return counts_of_queue()
