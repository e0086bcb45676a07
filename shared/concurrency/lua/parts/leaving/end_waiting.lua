-- Makes dead letters of what waits for delivery, MOST at most, with 2 MiB or one that is larger, while a queue is shut down at once
-- (`ending`), which is done when none is left (`immediate`). Returns how many are left.
local MOST_BYTES_ENDED = 2097152
local function end_waiting(most)
  local count, bytes, largest = 0, 0, 0
  -- FLOW
  -- Each lets another one go, or is taken out of a line: the work of two.
  most = math.ceil(most / 2)
  -- END
  local lists = {pending, returned, suspects, delayed}
  -- FLOW
  lists = {pending, returned, suspects, released, delayed, ready}
  -- END
  -- FLOW
  -- At the gates first, or each that ends would let the next one go.
  while count < most and bytes < MOST_BYTES_ENDED do
    local found = redis.call('ZRANGE', gated, 0, 0)[1]
    if not found then break end
    local entry = string.match(found, '^%S+ ................(.*)$')
    make_dead_letter(key_of(entry), entry, 'shutdown', 'the queue was shut down before it was handled')
    redis.call('ZREM', gated, found)
    count, bytes = count + 2, bytes + #entry
  end
  if redis.call('ZCARD', gated) == 0 then redis.call('DEL', opens) end
  -- END
  for _, list in ipairs(lists) do
    local of_delayed = list == delayed
    -- FLOW
    of_delayed = of_delayed or list == ready
    if list == ready then order.has_touched = true end
    -- END
    while count < most and bytes < MOST_BYTES_ENDED do
      -- The first one is looked at before others; as many as have room if none is larger than those seen so far.
      local slice = largest == 0 and 1 or math.max(1, math.min(most - count, 16, math.floor((MOST_BYTES_ENDED - bytes) / largest)))
      local found = redis.call(of_delayed and 'ZRANGE' or 'LRANGE', list, 0, slice - 1)
      if #found == 0 then break end
      for _, entry in ipairs(found) do
        bytes, largest = bytes + #entry, math.max(largest, #entry)
        make_dead_letter(key_of(entry), entry, 'shutdown', 'the queue was shut down before it was handled')
      end
      if of_delayed then
        redis.call('ZREM', list, unpack(found))
      else
        redis.call('LTRIM', list, #found, -1)
      end
      count = count + #found
    end
  end
  -- FLOW
  -- What is left in these stands behind what is in somebody's hands.
  for _, key in ipairs({behind, passed}) do
    while count < most and bytes < MOST_BYTES_ENDED and redis.call('HLEN', key) > 0 do
      -- Any of them: a scan would begin anew in each call, where most are gone.
      local page = redis.call('HRANDFIELD', key, 16, 'WITHVALUES')
      for at = 1, #page, 2 do
        local message, there = page[at], page[at + 1]
        if count < most and bytes < MOST_BYTES_ENDED and redis.call('HGET', key, message) == there then
          local entry = key == passed and string.match(there, '^%d+ (.*)$') or there
          order.unlink(message, entry)
          make_dead_letter(key_of(entry), entry, 'shutdown', 'the queue was shut down before it was handled')
          count, bytes = count + 1, bytes + #entry
        end
      end
    end
  end
  -- END
  -- FLOW
  order.keep_times()
  -- END
  local fresh, later = waiting()
  local left = fresh + later + redis.call('LLEN', putters)
  if left == 0 then redis.call('HSET', settings, 'shutdown', 'immediate') end
  return left
end
