-- Waiting puts: entries that found no room, in order of arrival.
-- Has entries[first..last] of a put wait.
local function park(first, last)
  local mark = again == '1' and '@' .. number or ''
  for from = first, last, 1000 do
    local places, waits = {}, {}
    for i = from, math.min(from + 999, last) do
      local key = string.sub(entries[i], 1, KEY_BYTES)
      places[#places + 1] = key .. mark
      waits[#waits + 1] = key
      waits[#waits + 1] = session .. mark .. ' ' .. entries[i]
    end
    redis.call('HSET', bodies, unpack(waits))
    -- FLOW
    places = order.park_fair(places, entries, from)
    if #places > 0 then
    -- END
    redis.call('RPUSH', putters, unpack(places))
    -- FLOW
    end
    -- END
  end
end

-- Forgets these keys, for their owner has received them.
local function forget_refused(owner, received)
  if received == '' then return end
  local last, refused = putter_record(owner)
  if string.sub(refused, 1, #received) ~= received then return end
  local rest = string.match(string.sub(refused, #received + 1), '^ ?(.*)$')
  redis.call('HSET', lanes, owner .. ':line', string.format('%.0f', now) .. ' ' .. last .. ' ' .. rest)
end
