local line_goes_on, admit = false, nil
-- Most calls find nobody in line: all of it is made by the first `admit` of a script, for each function that is made costs.
admit = function(first_free, is_shut)
  local MOST_LET_IN, MOST_BYTES_LET_IN = 1000, 2097152
  -- FLOW
  local LET_IN_MS = 86400000
  -- END
  local looked_at, bytes_let_in, largest_let_in = 0, 0, 0

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

  -- What one call of `admit` has gathered so far: how many went in, and of whom to notify.
  local entering, admitted_now, forwarded_now, named_now, last_of, conflicts_of, is_live_of
  -- FLOW
  local by_key, any_settled, settled, fair_places = nil, false, {}, {}

  -- Others of a NAME wait in line for what goes in here: they are done with, and their owners get to know it. One that was put before
  -- KEY, which is FIRST, by the same process, replaces nothing. One that came with an acknowledgement is the first of all, and never left for later: it was put.
  local function settle_others(name, key, first, at)
    for _, other in ipairs(order.named_in_line(name, 100)) do
      local is_forwarded = string.byte(other) == PLUS
      if not is_forwarded and (looked_at >= MOST_LET_IN or bytes_let_in >= MOST_BYTES_LET_IN) then return end
      local body, owner = redis.call('HGET', bodies, other), owner_of(other)
      local who, mark, from = string.match(body or '', WAITS)
      if who then
        local outgoing = string.sub(body, from)
        -- Of the fair line the first places are being looked at: there it leaves below.
        if #mark == 17 then order.leave_place(other, body, mark, from) else fair_places[#fair_places + 1] = other end
        if is_forwarded then
          order.meet_earlier(name, outgoing, first, at)
          named_now = named_now + 1
          notify(string.sub(who, 2), 'onward', other)
        elseif is_live(who) then
          if owner ~= owner_of(key) or other > key then order.meet_name(name, outgoing, select(2, order.name(outgoing, 33))) end
          by_key[owner] = (by_key[owner] or '') .. other
          conflicts_of[owner] = (conflicts_of[owner] or '') .. ' =' .. other
        end
        redis.call('HDEL', bodies, other)
        any_settled, settled[other] = true, true
      end
      order.leave_named(name, other)
      looked_at, bytes_let_in = looked_at + 1, bytes_let_in + #(body or '')
    end
  end
  -- END

  -- Lets a put in whose turn has come. WHO: its session, or `+` and whom to notify for one without an owner, which counts as put already.
  -- One whose owner's session is over is dropped: it never returned.
  local function let_one_in(key, who, outgoing)
    -- FLOW
    local name, at
    -- END
    if string.byte(who) == PLUS then
      -- FLOW
      if settled[key] then return end
      -- END
      notify(string.sub(who, 2), 'onward', key)
      -- FLOW
      name, at = order.name(outgoing, 33)
      if name then
        order.leave_named(name, key)
        named_now = named_now + 1
        if order.meet_name(name, outgoing, at) then return end
      end
      -- END
      local is_counted = true
      -- FLOW
      is_counted = not name
      -- END
      if is_counted then forwarded_now = forwarded_now + 1 end
    else
      -- FLOW
      if settled[key] then return end
      name, at = order.name(outgoing, 33)
      if name then order.leave_named(name, key) end
      -- END
      if is_live_of[who] == nil then
        is_live_of[who] = is_live(who)
        -- Over for ever: had a restart of the server it live again, what it put later would go in as if this had gone in before.
        if not is_live_of[who] then redis.call('ZADD', sessions, 'XX', 0, who) end
      end
      if not is_live_of[who] then return end
      local owner, verdict, is_told_by_key = owner_of(key), has_id(outgoing) and meet_id(outgoing) or 'new', false
      -- FLOW
      is_told_by_key = order.FLAGS[string.byte(outgoing, 33)]
      if name and verdict == 'new' and order.meet_name(name, outgoing, at) then verdict = 'known' end
      if is_told_by_key then
        by_key[owner] = (by_key[owner] or '') .. key
        if verdict == 'new' then redis.call('ZADD', let_in, now, key) end
      end
      -- END
      if not is_told_by_key then last_of[owner] = string.sub(key, 13) end
      if verdict ~= 'new' then
        conflicts_of[owner] = (conflicts_of[owner] or '') .. (verdict == 'known' and ' =' or ' ') .. key
        return
      end
    end
    admitted_now = admitted_now + 1
    local entry = next_stamp() .. outgoing
    -- FLOW
    local is_behind = order.stands_behind(entry, order.key(entry, 49))
    if name then
      local is_delayed = order.admit_named(name, entry, at + 16, is_behind)
      settle_others(name, key, outgoing, at)
      if is_delayed then return end
    end
    if is_behind or not order.passes(entry, '1') then return end
    -- END
    entering[#entering + 1] = entry
  end

  -- What was let in is in its place, before it leaves the line.
  local function write_entering()
    -- FLOW
    order.write()
    order.send_on(entering, pending)
    entering = {}
    -- END
    if #entering > 0 then redis.call('RPUSH', pending, unpack(entering)) end
    entering = {}
  end

  -- Notes for each owner how far its puts have got, and which were not let in; and lets them know.
  local function notify_owners()
    for owner in pairs(conflicts_of) do last_of[owner] = last_of[owner] or false end
    for owner, sequence in pairs(last_of) do
      local before, refused = putter_record(owner)
      local all = string.match(refused .. (conflicts_of[owner] or ''), '^ ?(.*)$')
      local last = sequence or string.format('%.0f', before)
      redis.call('HSET', lanes, owner .. ':line', string.format('%.0f', now) .. ' ' .. last .. ' ' .. all)
      -- An owner that has not answered for those that left the line may not have heard of them: it asks, and believes no number.
      if sequence and string.find(refused, '[-!]') then
        notify(owner, 'cancelled')
      elseif sequence then
        notify(owner, 'admitted', sequence)
      end
    end
    -- FLOW
    for owner, keys in pairs(by_key) do notify(owner, 'let_in', keys) end
    if next(by_key) then
      redis.call('ZREMRANGEBYSCORE', let_in, '-inf', now - LET_IN_MS)
      -- No call prunes it where nobody is let in any more.
      redis.call('PEXPIRE', let_in, LET_IN_MS)
    end
    -- END
  end

  -- FLOW
  -- Has a put wait for its own KEY or gate, whose turn has come and which has to. BUT: the one that it has waited for.
  local function has_to_wait(who, outgoing, but)
    local name = order.name(outgoing, 33)
    -- One that is about to replace what waits already needs no place there.
    if name and redis.call('HEXISTS', once, name) == 1 then return false end
    local own = order.must_wait(outgoing, order.key(outgoing, 33), 33, but)
    if not own or string.byte(who) ~= PLUS and not is_live(who) then return false end
    order.wait_for_own(own, who, outgoing)
    return true
  end

  -- Lets in those that wait for one KEY or gate that is marked, as long as so few stand there; returns false where only room is missing.
  local function admit_of(gate, free)
    while true do
      local first = redis.call('ZRANGEBYLEX', line_own, '[' .. gate .. ' ', '(' .. gate .. '!', 'LIMIT', 0, 1)[1]
      if not first or order.is_over(gate) then return true end
      if admitted_now >= free then return false end
      if looked_at >= MOST_LET_IN or bytes_let_in >= MOST_BYTES_LET_IN then
        line_goes_on = true
        return false
      end
      local message = string.sub(first, -KEY_BYTES)
      local body = redis.call('HGET', bodies, message)
      local who, mark, from = string.match(body or '', WAITS)
      if who and mark == '@' .. string.sub(first, -KEY_BYTES - 16, -KEY_BYTES - 1) then
        local outgoing = string.sub(body, from)
        if not has_to_wait(who, outgoing, gate) then
          let_one_in(message, who, outgoing)
          write_entering()
          redis.call('HDEL', bodies, message)
        end
      end
      redis.call('ZREM', line_own, first)
      looked_at, bytes_let_in = looked_at + 1, bytes_let_in + #(body or '')
    end
  end

  -- Lets in what waited for its own KEY or gate and need not any more.
  local function admit_own(free)
    for _, marked in ipairs(redis.call('ZRANGEBYLEX', line_own, '[!', '("', 'LIMIT', 0, 100)) do
      if not admit_of(string.sub(marked, 2), free) then return end
      redis.call('ZREM', line_own, marked)
    end
  end

  -- Lets in those of the fair line whose turn is before that of the common one, of which MOST are looked at, as far as there is room.
  -- Returns how many of the common line go before the next one; 0 where this call does no more.
  local function admit_fair(most, free)
    local room_before = admitted_now + free
    while true do
      local keys, tag, upto_next = order.fair_turns(math.min(most, room_before - admitted_now))
      if #keys == 0 then return upto_next end
      for i, body in ipairs(redis.call('HMGET', bodies, unpack(keys))) do
        local who, _, from = string.match(body or '', WAITS)
        bytes_let_in, largest_let_in = bytes_let_in + #(body or ''), math.max(largest_let_in, #(body or ''))
        if who then
          local outgoing = string.sub(body, from)
          if has_to_wait(who, outgoing) then keys[i] = '' else let_one_in(keys[i], who, outgoing) end
        end
      end
      write_entering()
      redis.call('ZREMRANGEBYRANK', line_fair, 0, #keys - 1)
      redis.call('HDEL', bodies, unpack(keys))
      order.serve_line(tag, #keys)
      order.has_touched, looked_at = true, looked_at + #keys
      if admitted_now >= room_before then return 0 end
      if looked_at >= MOST_LET_IN or bytes_let_in >= MOST_BYTES_LET_IN then
        line_goes_on = true
        return 0
      end
    end
  end
  -- END

  -- Moves up to FREE waiting puts to pending, first come first served, and notifies their owners; of a long line so many a script, and
  -- the next one goes on. SHUT: whether the queue is shut down, where the caller knows.
  admit = function(free, shut)
    if free > 0 and shut == nil then shut = redis.call('HGET', settings, 'shutdown') end
    -- Behind these places a shutdown has still to look.
    local upto, any_gone, total = free > 0 and shut and select(2, refuse_waiting(MOST_LET_IN)) or math.huge, false, 0
    admitted_now, forwarded_now, named_now, line_goes_on = 0, 0, 0, false
    entering, last_of, conflicts_of, is_live_of = {}, {}, {}, {}
    -- FLOW
    by_key = {}
    if free > 0 and not shut then admit_own(free) end
    free = free - admitted_now
    -- END
    while free > 0 and upto > 0 do
      if looked_at >= MOST_LET_IN or bytes_let_in >= MOST_BYTES_LET_IN then
        line_goes_on = true
        break
      end
      -- Few at first; then as many as have room if none is larger than those seen so far, and ten times as many at most.
      local slice = looked_at == 0 and 8 or math.floor((MOST_BYTES_LET_IN - bytes_let_in) / math.max(largest_let_in, 1))
      slice = math.max(1, math.min(slice, 10 * math.max(looked_at, 1), 500))
      -- FLOW
      local before_fair = admitted_now
      local upto_next_fair = shut and math.huge or admit_fair(slice, free)
      free = free - (admitted_now - before_fair)
      if free <= 0 or upto_next_fair == 0 then break end
      slice = math.min(slice, upto_next_fair)
      -- END
      local places, grown, unfolded_now = first_places(math.min(slice, MOST_LET_IN - looked_at), free, upto)
      total, forwarded_now, free, upto = total + unfolded_now, forwarded_now + unfolded_now, free - unfolded_now, upto + grown
      if #places == 0 then break end
      local keys, before = places, admitted_now
      for i, place in ipairs(places) do
        if #place > KEY_BYTES then
          if keys == places then keys = {unpack(places)} end
          keys[i] = string.sub(place, 1, KEY_BYTES)
        end
      end
      local waits = redis.call('HMGET', bodies, unpack(keys))
      -- FLOW
      if keys == places then keys = {unpack(places)} end
      -- END
      for i, body in ipairs(waits) do
        local key, who, mark, from = keys[i], string.match(body or '', WAITS)
        local size = #(body or '')
        bytes_let_in, largest_let_in = bytes_let_in + size, math.max(largest_let_in, size)
        local stays = false
        if not who or mark ~= string.sub(places[i], KEY_BYTES + 1) then
          -- It left the line, or was put again and waits at another place.
          any_gone, stays = true, true
        else
          local outgoing = string.sub(body, from)
          -- FLOW
          stays = not shut and has_to_wait(who, outgoing)
          -- END
          if not stays then let_one_in(key, who, outgoing) end
        end
        if stays then keys[i] = '' end
      end
      write_entering()
      redis.call('LTRIM', putters, #places, -1)
      redis.call('HDEL', bodies, unpack(keys))
      looked_at = looked_at + #places
      free, upto = free - (admitted_now - before), upto - #places
      -- FLOW
      if upto_next_fair < math.huge and admitted_now > before then order.serve_default(order.waiting, admitted_now - before) end
      -- END
    end
    total = total + admitted_now
    notify_owners()
    -- FLOW
    if #fair_places > 0 and redis.call('ZREM', line_fair, unpack(fair_places)) > 0 then order.has_touched = true end
    fair_places = {}
    order.keep_times()
    -- END
    if forwarded_now + named_now > 0 then redis.call('HINCRBY', totals, 'onward', -forwarded_now - named_now) end
    -- FLOW
    if named_now > 0 then redis.call('HINCRBY', totals, 'named', -named_now) end
    -- END
    count_put(total - forwarded_now)
    if shut and upto < math.huge then redis.call('HSET', settings, 'refused_upto', upto) end
    -- FLOW
    any_gone = any_gone or any_settled
    -- END
    if any_gone and redis.call('HLEN', bodies) == 0 then redis.call('DEL', putters) end
    return total
  end
  return admit(first_free, is_shut)
end
