-- What is to be counted of a queue, in the order in which `statistics` returns it.
local function counts_of_queue()
  local stored = redis.call('HMGET', settings, 'maxsize', 'max_attempts', 'shutdown', 'paused', 'max_crashes', 'max_dead', 'dead_for', 'flow')
  local fresh, stand_behind, replaced, at_gates, named = redis.call('LLEN', pending), 0, 0, 0, 0
  local later = redis.call('LLEN', returned) + redis.call('LLEN', suspects) + redis.call('ZCARD', delayed)
  local oldest = fresh > 0 and redis.call('LINDEX', pending, 0)
  -- FLOW
  -- A queue without a level has nothing there: who watches a hundred would ask for nothing four hundred times.
  if stored[8] then
    local waiting_behind, passing, freed = redis.call('HLEN', behind), redis.call('HLEN', passed), redis.call('LINDEX', released, 0)
    local of_names = redis.call('HMGET', totals, 'replaced', 'named')
    stand_behind, replaced, named = waiting_behind + passing, (of_names[1] or 0) + 0, (of_names[2] or 0) + 0
    -- Those that were delivered before have tags from 1e15 on.
    local before = redis.call('ZCOUNT', ready, 1e15, '+inf')
    local never = redis.call('ZCARD', ready) - before
    at_gates = redis.call('ZCARD', gated)
    local never_at_gates = at_gates > 0 and redis.call('ZLEXCOUNT', gated, '[1', '(2') or 0
    fresh = fresh + waiting_behind + redis.call('LLEN', released) + never + never_at_gates
    later = later + passing + before + at_gates - never_at_gates
    if freed and (not oldest or freed < oldest) then oldest = freed end
    local first = never > 0 and redis.call('ZRANGE', ready, 0, 0)[1]
    if first and (not oldest or first < oldest) then oldest = first end
  end
  -- END
  -- Its stamp is 16 digits; what follows may begin with one too.
  local age = oldest and math.max(0, now_us - (tonumber(string.sub(oldest, 1, 16)) or now_us)) or 0
  local letters = redis.call('HLEN', dead)
  local died = letters > 0 and redis.call('ZRANGE', dead_index, 0, 0, 'WITHSCORES')[2]
  local counts = redis.call('HMGET', totals, 'put', 'acked', 'nacked', 'dead', 'recovered', 'cancelled', 'discarded', 'folded', 'onward',
    'replayed')
  -- `+ 0` makes a number of what is stored for a fifth of what `tonumber` costs: there are seventeen.
  for i = 1, 10 do counts[i] = (counts[i] or 0) + 0 end
  local unfinished = counts[1] + named + counts[10] - counts[2] - counts[4] - counts[6]
  return {
    -- Waiting puts without an owner count as put already, or as `named`.
    fresh, math.max(0, unfinished - fresh - later - counts[9]), later, letters,
    redis.call('HLEN', bodies) + counts[8], counts[9], age,
    counts[1], counts[2], counts[3], counts[4], counts[5],
    (stored[1] or 0) + 0, (stored[2] or 5) + 0, stored[3] and 1 or 0,
    died and math.max(0, now - tonumber(died)) or 0, stored[4] and 1 or 0, counts[6], (stored[5] or 5) + 0,
    counts[7], (stored[6] or 0) + 0, (stored[7] or 0) + 0, stand_behind, replaced, at_gates,
  }
end
