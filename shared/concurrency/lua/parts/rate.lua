-- Who waits for a rate. Each has a ticket in the line, and goes when there is a token for each in front of it, too: so each is told its
-- own time, and nobody has to be notified while all come at theirs.
-- Those that are silent for longer than their time to live go; so many a call.
local SWEPT, DOUBT_MS = 500, 600 * 1000
local function number(value) return string.format('%.0f', value) end

local function forget_waiter(id)
  redis.call('ZREM', deadlines, id)
  return redis.call('ZREM', line, id) == 1
end

local function prune()
  local gone = redis.call('ZRANGEBYSCORE', deadlines, '-inf', '(' .. number(now), 'LIMIT', 0, SWEPT)
  if #gone > 0 then
    redis.call('ZREM', line, unpack(gone))
    redis.call('ZREM', deadlines, unpack(gone))
  end
  -- The clock went back: no deadline is further away than its time to live.
  local last = redis.call('ZRANGE', deadlines, -1, -1, 'WITHSCORES')
  if last[1] and tonumber(last[2]) > now + time_to_live(last[1]) then
    for _, id in ipairs(redis.call('ZRANGE', deadlines, -SWEPT, -1)) do
      redis.call('ZADD', deadlines, 'LT', number(now + time_to_live(id)), id)
    end
  end
end

-- Has whoever is first ask: somebody in front has gone who had not come at his time, or has left. One whose process receives nothing is
-- dead, or comes again: it gives way.
local function notify_first()
  for _ = 1, 10 do
    local first = redis.call('ZRANGE', line, 0, 0)[1]
    if not first then redis.call('HDEL', rate, 'late') end
    if not first or notify(first, 'rate', first) > 0 then return end
    forget_waiter(first)
  end
end
