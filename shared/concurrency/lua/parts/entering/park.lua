-- Waiting puts: entries that found no room, in order of arrival.
-- Has entries[first..last] of a put wait.
local function park(first, last)
  for from = first, last, 1000 do
    local keys, places = {}, {}
    for i = from, math.min(from + 999, last) do
      local key = string.sub(entries[i], 1, 22)
      keys[#keys + 1] = key
      places[#places + 1] = key
      places[#places + 1] = session .. ' ' .. entries[i]
    end
    redis.call('HSET', bodies, unpack(places))
    redis.call('RPUSH', putters, unpack(keys))
  end
end

-- Takes these keys (22 bytes each, joined) out of the waiting puts; `w` for each that was there, `x` for each that was not.
local function withdraw(keys)
  for at = 1, #keys, 22 do
    local key = string.sub(keys, at, at + 21)
    local was_there = redis.call('HDEL', bodies, key) == 1
    if was_there then redis.call('LREM', putters, 1, key) end
    verdict(was_there and 'w' or 'x', 1)
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
