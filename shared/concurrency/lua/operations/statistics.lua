#!lua flags=allow-oom
-- Counts a queue, changing nothing.
-- KEYS pending returned suspects delayed bodies dead dead_index settings totals
-- FLOW
--   behind passed released
-- END
-- RETURNS 'flow' and the level for the plain set in a queue that has one; or pending, leased, delayed, dead, puts waiting, those of them that came with an acknowledgement, age of the oldest
--   pending in us, put, acked, nacked, dead in all, recovered, maxsize, max_attempts, 1 if shut down, age of the oldest dead letter
--   in ms, 1 if paused, cancelled, max_crashes, discarded, max_dead or 0, dead_for in ms or 0, how many stand behind another of their key
-- PARTS clock level room unfinished
local stored = redis.call('HMGET', settings, 'maxsize', 'max_attempts', 'shutdown', 'paused', 'max_crashes', 'max_dead', 'dead_for', 'flow')
if stored[8] and KNOWN_LEVEL == 0 then return {'flow', tonumber(stored[8])} end
local fresh, later = waiting()
local stand_behind = 0
local oldest = redis.call('LINDEX', pending, 0)
-- FLOW
local freed = redis.call('LINDEX', released, 0)
stand_behind = redis.call('HLEN', behind) + redis.call('HLEN', passed)
if freed and (not oldest or freed < oldest) then oldest = freed end
-- END
local age = oldest and math.max(0, now_us - tonumber(string.match(oldest, '^%d+') or now_us)) or 0
-- Waiting puts without an owner count as put already.
local forwarded = tonumber(redis.call('HGET', totals, 'onward') or 0)
local died = redis.call('ZRANGE', dead_index, 0, 0, 'WITHSCORES')[2]
local counts = redis.call('HMGET', totals, 'put', 'acked', 'nacked', 'dead', 'recovered', 'cancelled', 'discarded', 'folded')
for i = 1, 8 do counts[i] = tonumber(counts[i] or 0) end
return {
  fresh, math.max(0, unfinished() - fresh - later - forwarded), later, redis.call('HLEN', dead),
  redis.call('HLEN', bodies) + counts[8], forwarded, age,
  counts[1], counts[2], counts[3], counts[4], counts[5],
  tonumber(stored[1] or 0), tonumber(stored[2] or 5), stored[3] and 1 or 0,
  died and math.max(0, now - tonumber(died)) or 0, stored[4] and 1 or 0, counts[6], tonumber(stored[5] or 5),
  counts[7], tonumber(stored[6] or 0), tonumber(stored[7] or 0), stand_behind,
}
