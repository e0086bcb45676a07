#!lua flags=allow-oom
-- Has a waiter wait at a barrier, or says what has become of it; the one that completes it lets all pass. Called again under the
-- same id it keeps the waiter's place.
-- KEYS barrier arrivals deadlines gaps passed refused outcomes departed
-- ARGV
--   id       the waiter
--   parties  how many have to wait until all of them pass
--   called   what people call it, where its keys have a digest of that; else empty
-- RETURNS 'passed', the waiter's number from 0; 'waits'; 'broken'; 'withdrawn'; or 'other', the number of parties in use
-- PARTS clock identity notify barrier
local function decided()
  local at = redis.call('ZSCORE', passed, id)
  if at then return {'passed', tonumber(at)} end
  local outcome = redis.call('HGET', outcomes, id)
  at = outcome and tonumber(string.match(outcome, '^%d+'))
  if at then return {'passed', at} end
  if outcome or redis.call('ZSCORE', refused, id) then return {'broken'} end
  if redis.call('ZSCORE', departed, id) then return {'withdrawn'} end
  return nil
end
local before = decided()
if before then return before end
local stored = redis.call('HMGET', barrier, 'parties', 'broken', 'longest_ttl')
if stored[2] then return {'broken'} end
local longest = math.max(tonumber(stored[3] or 0), time_to_live(id))
prune(longest)
if redis.call('EXISTS', arrivals) == 1 and stored[1] and stored[1] ~= parties then return {'other', tonumber(stored[1])} end
if redis.call('EXISTS', arrivals) == 0 then longest = time_to_live(id) end
redis.call('HSET', barrier, 'parties', parties, 'longest_ttl', number(longest))
if called ~= '' then redis.call('HSET', barrier, 'name', called) end
place(id)
redis.call('ZADD', deadlines, number(now + time_to_live(id)), id)
for _, key in ipairs({barrier, arrivals, deadlines, gaps}) do redis.call('PEXPIRE', key, REST_MS) end
if redis.call('ZCARD', arrivals) < tonumber(parties) then return {'waits'} end
notify_all()
if redis.call('ZCARD', arrivals) < tonumber(parties) then return {'waits'} end
let_go(passed)
sweep()
return decided()
