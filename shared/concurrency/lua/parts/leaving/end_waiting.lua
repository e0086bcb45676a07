-- Makes dead letters of what waits for delivery, MOST at most, while a queue is shut down at once (`ending`), which is done when none
-- is left (`immediate`). Returns how many are left.
local function end_one(key, entry)
  make_dead_letter(key, entry, 'shutdown', 'the queue was shut down before it was handled')
end
local function end_waiting(most)
  local count = 0
  local function end_all(entries)
    for _, entry in ipairs(entries) do end_one(key_of(entry), entry) end
    count = count + #entries
    return #entries
  end
  for _, list in ipairs({pending, returned, suspects}) do
    local ended = count < most and end_all(redis.call('LRANGE', list, 0, most - count - 1)) or 0
    if ended > 0 then redis.call('LTRIM', list, ended, -1) end
  end
  local ended = count < most and end_all(redis.call('ZRANGE', delayed, 0, most - count - 1)) or 0
  if ended > 0 then redis.call('ZREMRANGEBYRANK', delayed, 0, ended - 1) end
  local fresh, later = waiting()
  local left = fresh + later + redis.call('LLEN', putters)
  if left == 0 then redis.call('HSET', settings, 'shutdown', 'immediate') end
  return left
end
