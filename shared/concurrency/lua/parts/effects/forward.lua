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

-- Has words[first..last], outgoing entries, wait in the selected queue, behind all others there; adds their keys to WAITING_KEYS.
local function park_forwarded(session, words, first, last, waiting_keys)
  local whom = '+' .. owner_of(session) .. ' '
  if first <= last then redis.call('HINCRBY', totals, 'onward', last - first + 1) end
  for from = first, last, 1000 do
    local keys, waits = {}, {}
    for i = from, math.min(from + 999, last) do
      local key = string.sub(words[i], 1, 22)
      keys[#keys + 1] = key
      waits[#waits + 1] = key
      waits[#waits + 1] = whom .. words[i]
    end
    redis.call('HSET', bodies, unpack(waits))
    waiting_keys[#waiting_keys + 1] = table.concat(keys)
    -- FLOW
    keys = order.park_fair(keys, words, from)
    if #keys > 0 then
    -- END
    redis.call('RPUSH', putters, unpack(keys))
    -- FLOW
    end
    -- END
  end
end

-- FLOW
-- Lets an entry in that travelled, which has a NAME or not; IS_FIRST: nobody whom this call lets in goes before it. Adds it to GOING where it
-- is taken from `pending` or `ready`; returns for how many a session has to be woken beside those.
function order.enter_forwarded(outgoing, key, name, from, is_first, going)
  local entry = next_stamp() .. outgoing
  local is_behind, is_calm_first = order.stands_behind(entry, key), name and order.is_calm_first(outgoing, from)
  local getter = is_first and not is_behind and not is_calm_first and may_be_handed(outgoing) and who_waits()
  if getter and hand_off(getter, entry) then
    if name then order.handed_named(name, entry, from + 16) end
    return 0
  end
  if name and order.admit_named(name, entry, from + 16, is_behind) then return 1 end
  if not is_behind and order.passes(entry, '1') then going[#going + 1] = entry end
  return 0
end

-- Puts words[first..last] into the selected queue, FREE of them at most, each in its place in the order of its KEY; of a NAME that waits
-- nothing is added. One of a NAME that has to wait counts as put when it is let in, for another may take its place before: until then
-- `named` of the totals counts it. Returns for how many a session has to be woken.
function order.forward(session, words, first, last, free, paused, waiting_keys)
  local going, rest, woken, entered, plain, named = {}, {}, 0, 0, 0, 0
  local key_of = order.keys_of(words, first, last)
  for i = first, last do
    local outgoing, key, name, from = words[i], key_of[i], order.name(words[i], 33)
    if not name or not order.meet_forwarded(name, outgoing, from) then
      if name and free > 0 and order.is_named_in_line(name) then
        -- A take lets both in.
        free, order.is_sooner = 0, true
      end
      local own = free > 0 and order.must_wait(outgoing, key, 33)
      if own then
        order.wait_for_own(own, '+' .. owner_of(session), outgoing)
        waiting_keys[#waiting_keys + 1] = string.sub(outgoing, 1, 22)
        redis.call('HINCRBY', totals, 'onward', 1)
      elseif free > 0 then
        woken = woken + order.enter_forwarded(outgoing, key, name, from, #going == 0 and not paused, going)
        entered, free = entered + 1, free - 1
      else
        rest[#rest + 1] = outgoing
      end
      if own or free <= 0 and rest[#rest] == outgoing then
        if name then named = named + 1 else plain = plain + 1 end
        if name then order.waits_named(name, string.sub(outgoing, 1, 22)) end
      end
      -- It is there for the next of its NAME.
      if name and #rest > 0 then
        park_forwarded(session, rest, 1, #rest, waiting_keys)
        rest = {}
      end
    end
  end
  order.write()
  for from = 1, #going, 1000 do order.send_on({unpack(going, from, math.min(from + 999, #going))}, pending) end
  park_forwarded(session, rest, 1, #rest, waiting_keys)
  if named > 0 then redis.call('HINCRBY', totals, 'named', named) end
  count_put(entered + plain)
  if order.is_sooner then woken, order.is_sooner = woken + 1, false end
  return woken + #going
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
  fresh = order.forward(session, words, first, last, free, paused, waiting_keys)
  do return paused and 0 or fresh, table.concat(waiting_keys) end
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
  park_forwarded(session, words, at, last, waiting_keys)
  count_put(last - first + 1)
  return paused and 0 or fresh, table.concat(waiting_keys)
end

-- Has the folds words[first + 2..last], which the session words[first] has staged, wait in the selected queue, and lets in what has room.
-- Returns for how many a session has to be woken, and the keys of what waits, joined: of folds, and of puts that are not in one any more.
local function forward_staged(words, first, last)
  local counts, keys = staged_by(words[first])
  local folds, total = {}, 0
  for at = first + 2, last do
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
