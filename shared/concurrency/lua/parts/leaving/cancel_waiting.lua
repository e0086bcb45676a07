-- Takes a put that waits for room out of the line, for it is cancelled; its owner gets to know of it as of one that a shutdown took
-- out, behind `!`. One that came with an acknowledgement has no owner, and counts as put. False where none waits under the key, or a fold.
-- The id is known from here on, as of one that was cancelled later: a put that is repeated adds nothing.
local function cancel_waiting(key)
  local body = redis.call('HGET', bodies, key)
  local who, _, from = string.match(body or '', WAITS)
  if not who or string.byte(who) == FOLD then return false end
  local outgoing = string.sub(body, from)
  local headers = has_id(outgoing) and headers_of(outgoing)
  if headers and look_up_id(headers) == 'new' then
    local entry, id = string.rep('0', 16) .. outgoing, headers.id
    record_id(outgoing, headers)
    redis.call('HSET', ids, id, redis.call('HGET', ids, id) .. ' !')
    if is_asked(entry) then answer(key, entry, CANCELLED) end
  end
  take_out(key)
  if string.byte(who) == PLUS then
    redis.call('HINCRBY', totals, 'onward', -1)
    redis.call('HINCRBY', totals, 'cancelled', 1)
    -- FLOW
    order.count_named(outgoing)
    -- END
    notify(string.sub(who, 2), 'onward', key)
    return true
  end
  local owner = owner_of(key)
  local last, before = putter_record(owner)
  local all = string.match(before .. ' !' .. key, '^ ?(.*)$')
  redis.call('HSET', lanes, owner .. ':line', string.format('%.0f %.0f ', now, last) .. all)
  notify(owner, 'cancelled', key)
  return true
end

-- Takes out those that the caller named so, as far as a call gets from the cursor on: until there are 500, or 1 MiB. Returns the cursor to
-- go on from, 0 at the end, and whether there was one.
local function cancel_waiting_as(id, cursor)
  local looked, bytes, count, any = 0, 0, 10, false
  repeat
    local found
    cursor, found = unpack(redis.call('HSCAN', bodies, cursor, 'COUNT', count))
    for at = 1, #found, 2 do
      local who, _, from = string.match(found[at + 1], WAITS)
      local outgoing = who and string.byte(who) ~= FOLD and string.sub(found[at + 1], from)
      local headers = outgoing and has_id(outgoing) and headers_of(outgoing)
      if headers and headers.id == id then any = cancel_waiting(found[at]) or any end
      looked, bytes = looked + 1, bytes + #found[at + 1]
    end
    -- The entries come along: as many as have room if they are as large as those before.
    local room = math.floor((1048576 - bytes) * looked / math.max(bytes, 1))
    count = math.max(10, math.min(2 * count, room, 500))
  until cursor == '0' or looked >= 500 or bytes >= 1048576
  return cursor, any
end
