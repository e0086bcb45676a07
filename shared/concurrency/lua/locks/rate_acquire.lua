#!lua flags=allow-oom
-- Lets one go by its rate, or has it wait, or says when to ask again. Called again under the same id it keeps the waiter's place.
-- KEYS rate line deadlines departed
-- ARGV
--   id        who asks
--   interval  the time of one, in microseconds
--   burst     how many may go at once after a rest
--   waits     1: it waits where it may not go; 0: it does not
--   called    what people call it, where its keys have a digest of that; else empty
-- RETURNS 'granted', now in us; 'waits', in how many microseconds to ask again; 'busy', in how many microseconds one who waits could go; or 'withdrawn'
-- PARTS clock identity notify rate gcra
if redis.call('ZSCORE', departed, id) then return {'withdrawn'} end
prune()
local owed, was_late = debt()
local free, place = tokens(owed), redis.call('ZRANK', line, id)
local rank = place or redis.call('ZCARD', line)
-- Somebody in front could go and has not come: it is late, or dead.
if free > 0 and rank >= free then
  notify_first()
  place = redis.call('ZRANK', line, id)
  rank = place or redis.call('ZCARD', line)
end
if rank < free then
  owed = owed + interval
  redis.call('HSET', rate, 'tat', number(now_us + owed), 'most', number(math.max(owed, interval * burst)))
  if called ~= '' then redis.call('HSET', rate, 'name', called) end
  -- Once all is paid for, nothing has to be known any more.
  redis.call('PEXPIRE', rate, number(math.max(math.ceil(owed / 1000) + 1, was_late and redis.call('PTTL', rate) or 0)))
  if place then forget_waiter(id) end
  if was_late then notify_first() end
  return {'granted', number(now_us)}
end
if waits == '0' then return {'busy', number(time_of(rank, owed))} end
local ttl = time_to_live(id)
if not place then
  local last = redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')[2]
  redis.call('ZADD', line, number(math.max(now_us, tonumber(last or 0) + 1)), id)
end
redis.call('ZADD', deadlines, number(now + ttl), id)
for _, key in ipairs({line, deadlines}) do
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, number(ttl + 1000)) end
end
-- Whoever is next is notified when one comes that is late, from here on.
if free > 0 then
  redis.call('HSET', rate, 'late', 1)
  redis.call('PEXPIRE', rate, number(math.max(redis.call('PTTL', rate), ttl + 1000)))
  local first = redis.call('ZRANGE', deadlines, 0, 0, 'WITHSCORES')
  return {'waits', number((tonumber(first[2]) - now + 1) * 1000)}
end
return {'waits', number(time_of(rank, owed))}
