-- Discards the oldest dead letters beyond `max_dead`, and those older than `dead_for` (in ms; of both 0: no limit), MOST at most, or
-- 2 MiB; returns how many.
local function discard_oldest(most)
  local stored = redis.call('HMGET', settings, 'max_dead', 'dead_for')
  local max_dead, dead_for = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
  if max_dead == 0 and dead_for == 0 then return 0 end
  local beyond = max_dead > 0 and math.min(most, redis.call('ZCARD', dead_index) - max_dead) or 0
  local oldest = beyond > 0 and redis.call('ZRANGE', dead_index, 0, beyond - 1) or {}
  if dead_for > 0 and #oldest < most then
    local before = string.format('(%.0f', now - dead_for)
    local old = redis.call('ZRANGEBYSCORE', dead_index, '-inf', before, 'LIMIT', #oldest, most - #oldest)
    for _, key in ipairs(old) do oldest[#oldest + 1] = key end
  end
  local count = letter_groups().remove(oldest)
  if count > 0 then redis.call('HINCRBY', totals, 'discarded', count) end
  return count
end
