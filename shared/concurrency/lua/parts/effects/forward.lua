-- Puts that travel with an acknowledgement. What finds no room waits without an owner: it is admitted in its turn though the
-- process that put it dies, for the message it was made of is done with. It counts as put from here on.

-- Whether the keys of the selected queue hold what they must: a put into it cannot fail half-way then.
local function is_sound()
  local kinds = {
    list = {pending, returned, suspects, putters},
    zset = {delayed, sessions, idle, ids_due},
    hash = {bodies, handed, lanes, ids, settings, totals},
  }
  for kind, keys in pairs(kinds) do
    for _, key in ipairs(keys) do
      local found = redis.call('TYPE', key).ok
      if found ~= 'none' and found ~= kind then return false end
    end
  end
  return true
end

-- Puts words[first..last], outgoing entries, into the selected queue. Returns for how many a session has to be woken, and the
-- keys of those that wait, joined.
local function forward(session, words, first, last)
  local bound, paused = unpack(redis.call('HMGET', settings, 'maxsize', 'paused'))
  local maxsize = tonumber(bound or 0)
  local in_line = redis.call('LLEN', putters)
  if in_line > 0 then
    admit(room(maxsize))
    in_line = redis.call('LLEN', putters)
  end
  local free = in_line > 0 and 0 or room(maxsize)
  local fresh, waiting_keys = 0, {}
  for at = first, last do
    local outgoing = words[at]
    if free > 0 then
      free = free - 1
      local entry, getter = next_stamp() .. outgoing, not paused and who_waits()
      if not (getter and hand_off(getter, entry)) then
        redis.call('RPUSH', pending, entry)
        fresh = fresh + 1
      end
    else
      local key = string.sub(outgoing, 1, 22)
      redis.call('HSET', bodies, key, '+' .. owner_of(session) .. ' ' .. outgoing)
      redis.call('RPUSH', putters, key)
      waiting_keys[#waiting_keys + 1] = key
    end
  end
  count_put(last - first + 1)
  return paused and 0 or fresh, table.concat(waiting_keys)
end
