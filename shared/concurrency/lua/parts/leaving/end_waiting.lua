-- Makes dead letters of what waits for delivery, MOST at most, while a queue is shut down at once (`ending`), which is done when none
-- is left (`immediate`). Returns how many are left.
local function end_waiting(most)
  local count = 0
  for _, list in ipairs({pending, returned, suspects, delayed}) do
    local of_delayed = list == delayed
    local entries = count < most and redis.call(of_delayed and 'ZRANGE' or 'LRANGE', list, 0, most - count - 1) or {}
    for _, entry in ipairs(entries) do
      make_dead_letter(key_of(entry), entry, 'shutdown', 'the queue was shut down before it was handled')
    end
    if #entries > 0 and of_delayed then
      redis.call('ZREMRANGEBYRANK', list, 0, #entries - 1)
    elseif #entries > 0 then
      redis.call('LTRIM', list, #entries, -1)
    end
    count = count + #entries
  end
  local fresh, later = waiting()
  local left = fresh + later + redis.call('LLEN', putters)
  if left == 0 then redis.call('HSET', settings, 'shutdown', 'immediate') end
  return left
end
