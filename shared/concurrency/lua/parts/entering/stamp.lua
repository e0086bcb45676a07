-- Stamps order all messages of a queue by when each was admitted: microseconds, and each greater than the one before. Entries that
-- one call admits may share one: their keys order them.
local stamp = nil
local function next_stamp()
  if not stamp then stamp = tonumber(redis.call('HGET', totals, 'stamp') or 0) end
  stamp = math.max(stamp + 1, now_us)
  return string.format('%016.0f', stamp)
end
local function count_put(count)
  if stamp then redis.call('HSET', totals, 'stamp', string.format('%.0f', stamp)) end
  if count > 0 then redis.call('HINCRBY', totals, 'put', count) end
end
