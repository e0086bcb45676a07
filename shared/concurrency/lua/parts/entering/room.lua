-- Messages that wait, and how many more may enter: counted from the data, never kept beside it.
local function waiting()
  -- FLOW
  do
    local again = redis.call('LLEN', returned) + redis.call('LLEN', suspects) + redis.call('ZCARD', delayed) + redis.call('HLEN', passed)
    local at_gates = redis.call('ZCARD', gated)
    local fresh_at_gates = at_gates > 0 and redis.call('ZLEXCOUNT', gated, '[1', '(2') or 0
    return redis.call('LLEN', pending) + redis.call('LLEN', released) + redis.call('HLEN', behind) + fresh_at_gates, again + at_gates - fresh_at_gates
  end
  -- END
  return redis.call('LLEN', pending), redis.call('LLEN', returned) + redis.call('LLEN', suspects) + redis.call('ZCARD', delayed)
end
local function room(maxsize)
  if maxsize == 0 then return math.huge end
  local fresh, again = waiting()
  return math.max(0, maxsize - fresh - again)
end
