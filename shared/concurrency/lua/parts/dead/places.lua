-- Dead letters stand in the order of their deaths. A *place* in it, 'DIED_MS KEY', names one death of one message: it
-- stays right while letters come and go, and no longer fits a letter that was put back and died again.
local function place_of(key, died) return string.format('%.0f', died) .. ' ' .. key end

-- The key of a place, or of a key given alone, and its letter; nil when there is none (any more).
local function letter_at(place)
  local died, key = string.match(place, '^(%d+) (.+)$')
  if died and redis.call('ZSCORE', dead_index, key) ~= died then return key, nil end
  return key or place, redis.call('HGET', dead, key or place) or nil
end
