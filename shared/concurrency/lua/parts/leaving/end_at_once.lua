-- After an immediate shutdown nothing is delivered: what waits for delivery becomes dead letters, MOST of them in one call.
-- Returns how many did.
local CUT_SHORT = 'the queue was shut down before it was handled'

local function end_at_once(most)
  local count = 0
  local function end_all(entries)
    for _, entry in ipairs(entries) do make_dead_letter(key_of(entry), entry, 'shutdown', CUT_SHORT) end
    count = count + #entries
    return #entries
  end
  for _, list in ipairs({pending, returned, suspects}) do
    local ended = count < most and end_all(redis.call('LRANGE', list, 0, most - 1 - count)) or 0
    if ended > 0 then redis.call('LTRIM', list, ended, -1) end
  end
  if count < most then
    local ended = end_all(redis.call('ZRANGE', delayed, 0, most - 1 - count))
    if ended > 0 then redis.call('ZREMRANGEBYRANK', delayed, 0, ended - 1) end
  end
  return count
end
