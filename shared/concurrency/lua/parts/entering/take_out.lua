-- Takes puts (keys of 22 bytes, joined) out of the line; returns for each whether it waited.
local function take_out(keys)
  local waited, is_long = {}, redis.call('LLEN', putters) > SHORT_LINE
  for at = 1, #keys, KEY_BYTES do
    local key = string.sub(keys, at, at + KEY_BYTES - 1)
    local body = redis.call('HGET', bodies, key)
    waited[#waited + 1] = body and redis.call('HDEL', bodies, key) == 1
    -- FLOW
    if body then
      local _, mark, from = string.match(body, WAITS)
      order.leave_place(key, body, mark, from)
      order.leave_line_of_name(string.sub(body, from))
    end
    -- END
    if body and not is_long then
      local _, mark = string.match(body, WAITS)
      redis.call('LREM', putters, 1, key .. mark)
    end
  end
  if #waited > 0 and is_long then
    -- Places at the end that nobody has any more.
    local gone, places
    repeat
      places, gone = redis.call('LRANGE', putters, -100, -1), 0
      while gone < #places and redis.call('HEXISTS', bodies, string.sub(places[#places - gone], 1, KEY_BYTES)) == 0 do gone = gone + 1 end
      if gone > 0 then redis.call('LTRIM', putters, 0, -gone - 1) end
    until gone < 100
  end
  -- FLOW
  order.keep_times()
  -- END
  return waited
end
