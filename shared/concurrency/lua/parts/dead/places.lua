-- Dead letters stand in the order of their deaths. A *place* in it, 'DIED_MS KEY', names one death of one message: it
-- stays right while letters come and go, and no longer fits a letter that was put back and died again.
local function place_of(key, died) return string.format('%.0f', died) .. ' ' .. key end

-- The key of a place, or of a key given alone; nil when another death of it is meant than the last one.
local function key_at(place)
  local died, key = string.match(place, '^(%d+) (.+)$')
  if died and redis.call('ZSCORE', dead_index, key) ~= died then return nil end
  return key or place
end
