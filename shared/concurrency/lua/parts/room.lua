-- Messages that wait, and how many more may enter: counted from the data, never kept beside it.
local function waiting()
  return redis.call('LLEN', pending), redis.call('LLEN', returned) + redis.call('LLEN', suspects) + redis.call('ZCARD', delayed)
end
local function room(maxsize)
  if maxsize == 0 then return math.huge end
  local fresh, again = waiting()
  return math.max(0, maxsize - fresh - again)
end

-- Messages not finished yet, those in a consumer's hands included.
local function unfinished()
  local totals_now = redis.call('HMGET', totals, 'put', 'replayed', 'acked', 'dead')
  for i = 1, 4 do totals_now[i] = tonumber(totals_now[i] or 0) end
  return totals_now[1] + totals_now[2] - totals_now[3] - totals_now[4]
end
