local MOST_LET_IN, MOST_BYTES_LET_IN = 1000, 2097152
local looked_at, bytes_let_in, largest_let_in, line_goes_on = 0, 0, 0, false

-- The first places of the line, MOST at most: none of a fold. One at the front goes in as a whole, or is unfolded where only some of it
-- has room. Returns also by how many places the line has grown, and how many puts went in.
local function first_places(most, free, upto)
  local grown, entered = 0, 0
  while free > entered and upto + grown > 0 do
    local places = redis.call('LRANGE', putters, 0, math.min(most, free - entered, upto + grown) - 1)
    if string.byte(places[1] or '') ~= FOLD then
      for i, place in ipairs(places) do
        if string.byte(place) == FOLD then return {unpack(places, 1, i - 1)}, grown, entered end
      end
      return places, grown, entered
    end
    if looked_at >= MOST_LET_IN or bytes_let_in >= MOST_BYTES_LET_IN then
      line_goes_on = true
      break
    end
    local count, went, size = unfold(places[1], free - entered)
    looked_at, bytes_let_in = looked_at + math.max(went, 1), bytes_let_in + size
    grown, entered = grown + count - 1, entered + went
  end
  return {}, grown, entered
end

-- Moves up to FREE waiting puts to pending, first come first served, and notifies their owners; of a long line so many a script, and
-- the next one goes on. A put whose owner's session is over is dropped: it never returned. Those that came with an acknowledgement
-- have no owner (`+`, and whom to notify) and count as put already. SHUT: whether the queue is shut down, where the caller knows.
local function admit(free, shut)
  local total, forwarded, last, conflicts, live = 0, 0, {}, {}, {}
  if free > 0 and shut == nil then shut = redis.call('HGET', settings, 'shutdown') end
  -- Behind these places a shutdown has still to look.
  local upto, any_gone = free > 0 and shut and select(2, refuse_waiting(MOST_LET_IN)) or math.huge, false
  line_goes_on = false
  while free > 0 and upto > 0 do
    if looked_at >= MOST_LET_IN or bytes_let_in >= MOST_BYTES_LET_IN then
      line_goes_on = true
      break
    end
    -- Few at first; then as many as have room if none is larger than those seen so far, and ten times as many at most.
    local slice = looked_at == 0 and 8 or math.floor((MOST_BYTES_LET_IN - bytes_let_in) / math.max(largest_let_in, 1))
    slice = math.max(1, math.min(slice, 10 * math.max(looked_at, 1), 500))
    local places, grown, entered = first_places(math.min(slice, MOST_LET_IN - looked_at), free, upto)
    total, forwarded, free, upto = total + entered, forwarded + entered, free - entered, upto + grown
    if #places == 0 then break end
    local keys, entering = places, {}
    for i, place in ipairs(places) do
      if #place > KEY_BYTES then
        if keys == places then keys = {unpack(places)} end
        keys[i] = string.sub(place, 1, KEY_BYTES)
      end
    end
    local waits = redis.call('HMGET', bodies, unpack(keys))
    for i, body in ipairs(waits) do
      local key, who, mark, from = keys[i], string.match(body or '', WAITS)
      if not who or mark ~= string.sub(places[i], KEY_BYTES + 1) then
        -- It left the line, or was put again and waits at another place.
        any_gone, keys[i] = true, ''
      elseif string.byte(who) == PLUS then
        entering[#entering + 1] = next_stamp() .. string.sub(body, from)
        forwarded = forwarded + 1
        notify(string.sub(who, 2), 'onward', key)
      else
        if live[who] == nil then live[who] = is_live(who) end
        if live[who] then
          local outgoing, owner = string.sub(body, from), owner_of(key)
          local verdict = has_id(outgoing) and meet_id(outgoing) or 'new'
          if verdict == 'new' then
            entering[#entering + 1] = next_stamp() .. outgoing
          else
            conflicts[owner] = (conflicts[owner] or '') .. (verdict == 'known' and ' =' or ' ') .. key
          end
          last[owner] = string.sub(key, 13)
        end
      end
      local size = #(body or '')
      bytes_let_in, largest_let_in = bytes_let_in + size, math.max(largest_let_in, size)
    end
    if #entering > 0 then redis.call('RPUSH', pending, unpack(entering)) end
    redis.call('LTRIM', putters, #places, -1)
    redis.call('HDEL', bodies, unpack(keys))
    looked_at = looked_at + #places
    total, free, upto = total + #entering, free - #entering, upto - #places
  end
  for owner, sequence in pairs(last) do
    local _, refused = putter_record(owner)
    local all = string.match(refused .. (conflicts[owner] or ''), '^ ?(.*)$')
    redis.call('HSET', lanes, owner .. ':line', string.format('%.0f', now) .. ' ' .. sequence .. ' ' .. all)
    notify(owner, 'admitted', sequence)
  end
  if forwarded > 0 then redis.call('HINCRBY', totals, 'onward', -forwarded) end
  count_put(total - forwarded)
  if shut and upto < math.huge then redis.call('HSET', settings, 'refused_upto', upto) end
  if any_gone and redis.call('HLEN', bodies) == 0 then redis.call('DEL', putters) end
  return total
end
