-- What the scripts of a barrier share: who waits, who is dead, and what has become of the others.
-- Waiters have the numbers 0, 1, 2 and so on; one that leaves leaves a gap, which the next one fills. So when all are there,
-- each has one of the numbers of the parties, and letting them go is renaming a key, however many they are.
local REST_MS = 7 * 24 * 3600 * 1000
-- For how long an outcome is kept for a waiter that does not fetch it, and a withdrawal.
local DOUBT_MS = 600 * 1000
local function number(value) return string.format('%.0f', value) end

local function forget_waiter(id)
  local at = redis.call('ZSCORE', arrivals, id)
  if not at then return end
  redis.call('ZREM', arrivals, id)
  redis.call('ZREM', deadlines, id)
  if redis.call('EXISTS', arrivals) == 1 then
    redis.call('ZADD', gaps, at, at)
  else
    redis.call('DEL', gaps)
  end
end

local function place(id)
  if redis.call('ZSCORE', arrivals, id) then return end
  local gap = redis.call('ZPOPMIN', gaps)
  redis.call('ZADD', arrivals, gap[2] or redis.call('ZCARD', arrivals), id)
end

-- A waiter that has not asked again for its time to live is dead. The clock may have gone back: a deadline that is further away
-- than the longest time is cut.
local function prune(longest)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', '(' .. number(now))) do forget_waiter(id) end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '(' .. number(now + longest), '+inf')) do
    redis.call('ZADD', deadlines, 'LT', number(now + time_to_live(id)), id)
  end
end

-- Notifies the process of each waiter, once. Those of a process that receives nothing are forgotten: they come again if it lives.
local function notify_all()
  local receives = {}
  for _, id in ipairs(redis.call('ZRANGE', arrivals, 0, -1)) do
    local owner = owner_of(id)
    if receives[owner] == nil then receives[owner] = notify(id, 'barrier') > 0 end
    if not receives[owner] then forget_waiter(id) end
  end
end

-- Has all that wait go, with their numbers. What those before them have not fetched is kept beside, with the time.
local function let_go(into, what)
  local before, since = redis.call('ZRANGE', into, 0, -1, 'WITHSCORES'), ' ' .. number(now)
  for at = 2, #before, 2 do before[at] = (what or before[at]) .. since end
  for first = 1, #before, 2000 do
    redis.call('HSET', outcomes, unpack(before, first, math.min(first + 1999, #before)))
  end
  redis.call('PEXPIRE', outcomes, DOUBT_MS)
  if redis.call('EXISTS', arrivals) == 1 then redis.call('RENAME', arrivals, into) end
  redis.call('PEXPIRE', into, DOUBT_MS)
  redis.call('UNLINK', deadlines)
  redis.call('DEL', gaps)
end

-- What nobody has fetched goes bit by bit: a call looks at so many, whichever.
local function sweep()
  local some = redis.call('HRANDFIELD', outcomes, 100, 'WITHVALUES')
  for at = 1, #some, 2 do
    if tonumber(string.match(some[at + 1], '%d+$')) < now - DOUBT_MS then redis.call('HDEL', outcomes, some[at]) end
  end
end
