-- Messages that wait, and how many more may enter: counted from the data, never kept beside it.
local function waiting()
  -- FLOW
  do
    local again = redis.call('LLEN', returned) + redis.call('LLEN', suspects) + redis.call('ZCARD', delayed) + redis.call('HLEN', passed)
    local fresh = redis.call('LLEN', pending) + redis.call('LLEN', released) + redis.call('HLEN', behind)
    -- Of `ready` and at the gates some were delivered before; whoever asks for room wants the sum.
    return fresh + redis.call('ZCARD', ready) + redis.call('ZCARD', gated), again
  end
  -- END
  return redis.call('LLEN', pending), redis.call('LLEN', returned) + redis.call('LLEN', suspects) + redis.call('ZCARD', delayed)
end
local function room(maxsize)
  if maxsize == 0 then return math.huge end
  local fresh, again = waiting()
  return math.max(0, maxsize - fresh - again)
end
