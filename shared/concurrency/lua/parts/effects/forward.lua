-- Puts that travel with an acknowledgement. What finds no room waits without an owner: it is admitted in its turn though the
-- process that put it dies, for the message it was made of is done with. It counts as put from here on.

-- Whether the keys of the selected queue hold what they must: a put into it cannot fail half-way then.
local function is_sound()
  local kinds = {
    list = {pending, returned, suspects, putters},
    zset = {delayed, sessions, idle, ids_due},
    hash = {bodies, handed, lanes, ids, settings, totals},
  }
  -- FLOW
  for _, key in ipairs({tails, behind, passed, flow, tags, once}) do table.insert(kinds.hash, key) end
  for _, key in ipairs({line_own, let_in, ready, line_fair, gated, running, opens}) do table.insert(kinds.zset, key) end
  table.insert(kinds.list, released)
  -- END
  for kind, keys in pairs(kinds) do
    for _, key in ipairs(keys) do
      local found = redis.call('TYPE', key).ok
      if found ~= 'none' and found ~= kind then return false end
    end
  end
  return true
end

-- FLOW
-- Puts words[first..last] into the selected queue while there is room, each in its place in the order of its key. Returns the first of
-- those that have no room, and for how many a session has to be woken.
local function forward_in_order(session, words, first, last, free, paused, waiting_keys)
  local going, parked, at, key_of = {}, 0, first, order.keys_of(words, first, last)
  while at <= last and free > 0 do
    local key = key_of[at]
    local own = order.must_wait(words[at], key, 33)
    if own then
      order.wait_for_own(own, '+' .. owner_of(session), words[at])
      waiting_keys[#waiting_keys + 1] = string.sub(words[at], 1, 22)
      parked = parked + 1
    else
      local entry = next_stamp() .. words[at]
      if order.goes_on(entry, key) then
        local getter = #going == 0 and not paused and may_be_handed(words[at]) and who_waits()
        if not (getter and hand_off(getter, entry)) then going[#going + 1] = entry end
      end
      free = free - 1
    end
    at = at + 1
  end
  order.write()
  for from = 1, #going, 1000 do order.send_on({unpack(going, from, math.min(from + 999, #going))}, pending) end
  if parked > 0 then redis.call('HINCRBY', totals, 'onward', parked) end
  return at, #going
end
-- END

-- Puts words[first..last], outgoing entries, into the selected queue. Returns for how many a session has to be woken, and the
-- keys of those that wait, joined.
local function forward(session, words, first, last)
  local bound, paused = unpack(redis.call('HMGET', settings, 'maxsize', 'paused'))
  local maxsize = tonumber(bound or 0)
  if in_line() > 0 then admit(room(maxsize)) end
  local free = in_line() > 0 and 0 or room(maxsize)
  local fresh, waiting_keys, at = 0, {}, first
  -- FLOW
  if free > 0 then
    at, fresh = forward_in_order(session, words, first, last, free, paused, waiting_keys)
    free = 0
  end
  -- END
  -- Idle sessions are handed the first ones.
  while at <= last and free > 0 do
    local entry, getter = next_stamp() .. words[at], not paused and who_waits()
    if not (getter and hand_off(getter, entry)) then
      redis.call('RPUSH', pending, entry)
      fresh = fresh + 1
    end
    at, free = at + 1, free - 1
    if not getter then break end
  end
  while at <= last and free > 0 do
    local batch = {}
    for i = at, math.min(at + 999, at + free - 1, last) do batch[#batch + 1] = next_stamp() .. words[i] end
    redis.call('RPUSH', pending, unpack(batch))
    at, free, fresh = at + #batch, free - #batch, fresh + #batch
  end
  local whom = '+' .. owner_of(session) .. ' '
  if at <= last then redis.call('HINCRBY', totals, 'onward', last - at + 1) end
  for from = at, last, 1000 do
    local keys, waits = {}, {}
    for i = from, math.min(from + 999, last) do
      local key = string.sub(words[i], 1, 22)
      keys[#keys + 1] = key
      waits[#waits + 1] = key
      waits[#waits + 1] = whom .. words[i]
    end
    redis.call('HSET', bodies, unpack(waits))
    -- FLOW
    local all = keys
    keys = order.park_fair(keys, words, from)
    if #keys > 0 then
    -- END
    redis.call('RPUSH', putters, unpack(keys))
    -- FLOW
    end
    keys = all
    -- END
    waiting_keys[#waiting_keys + 1] = table.concat(keys)
  end
  count_put(last - first + 1)
  return paused and 0 or fresh, table.concat(waiting_keys)
end

-- Has the folds words[first + 1..last], which the session words[first] has staged, wait in the selected queue, and lets in what has room.
-- Returns for how many a session has to be woken, and the keys of what waits, joined: of folds, and of puts that are not in one any more.
local function forward_staged(words, first, last)
  local counts, keys = staged_by(words[first])
  local folds, total = {}, 0
  for at = first + 1, last do
    folds[#folds + 1] = words[at]
    total = total + counts[words[at]]
    counts[words[at]] = nil
  end
  record_staged(words[first], counts, keys)
  redis.call('RPUSH', putters, unpack(folds))
  redis.call('HINCRBY', totals, 'onward', total)
  redis.call('HINCRBY', totals, 'folded', total)
  count_put(total)
  local bound, paused = unpack(redis.call('HMGET', settings, 'maxsize', 'paused'))
  local before, waits = #unfolded, {}
  local entered = admit(room(tonumber(bound or 0)))
  for i = before + 1, #unfolded do folds[#folds + 1] = unfolded[i] end
  for _, key in ipairs(folds) do
    if redis.call('HEXISTS', bodies, key) == 1 then waits[#waits + 1] = key end
  end
  return paused and 0 or entered, table.concat(waits)
end
