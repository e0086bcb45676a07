-- What is to be counted of a queue, in the order in which `statistics` returns it.
local function counts_of_queue()
  local fresh, later = waiting()
  local oldest = redis.call('LINDEX', pending, 0)
  -- Its stamp is 16 digits; what follows may begin with one too.
  local age = oldest and math.max(0, now_us - (tonumber(string.sub(oldest, 1, 16)) or now_us)) or 0
  local letters = redis.call('HLEN', dead)
  local died = letters > 0 and redis.call('ZRANGE', dead_index, 0, 0, 'WITHSCORES')[2]
  local counts = redis.call('HMGET', totals, 'put', 'acked', 'nacked', 'dead', 'recovered', 'given_up', 'discarded', 'folded', 'onward',
    'replayed')
  for i = 1, 10 do counts[i] = tonumber(counts[i] or 0) end
  local unfinished = counts[1] + counts[10] - counts[2] - counts[4] - counts[6]
  local stored = redis.call('HMGET', settings, 'maxsize', 'max_attempts', 'shutdown', 'paused', 'max_crashes', 'max_dead', 'dead_for')
  return {
    -- Waiting puts without an owner count as put already.
    fresh, math.max(0, unfinished - fresh - later - counts[9]), later, letters,
    redis.call('HLEN', bodies) + counts[8], counts[9], age,
    counts[1], counts[2], counts[3], counts[4], counts[5],
    tonumber(stored[1] or 0), tonumber(stored[2] or 5), stored[3] and 1 or 0,
    died and math.max(0, now - tonumber(died)) or 0, stored[4] and 1 or 0, counts[6], tonumber(stored[5] or 5),
    counts[7], tonumber(stored[6] or 0), tonumber(stored[7] or 0),
  }
end
