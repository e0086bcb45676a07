-- Moves up to FREE waiting puts to pending, first come first served, and notifies their owners; of a long line so many a script, and
-- the next one goes on. A put whose owner's session is over is dropped: it never returned. Those that came with an acknowledgement
-- have no owner (`+`, and whom to notify) and count as put already.
local MOST_LET_IN, MOST_BYTES_LET_IN = 1000, 4194304
local looked_at, bytes_let_in, line_goes_on = 0, 0, false
local function admit(free)
  local total, forwarded, last, conflicts, live = 0, 0, {}, {}, {}
  local shut = free > 0 and redis.call('HGET', settings, 'shutdown')
  line_goes_on = false
  while free > 0 do
    if looked_at >= MOST_LET_IN or bytes_let_in >= MOST_BYTES_LET_IN then
      line_goes_on = true
      break
    end
    local slice = (looked_at == 0 or bytes_let_in > looked_at * 4096) and 50 or 500
    local places = redis.call('LRANGE', putters, 0, math.min(free, slice, MOST_LET_IN - looked_at) - 1)
    if #places == 0 then break end
    local keys = keys_of_places(places)
    local waits, entering = redis.call('HMGET', bodies, unpack(keys)), {}
    for i, key in ipairs(keys) do
      local body = waits[i]
      local who, mark, from
      if body then
        who, mark, from = read_body(body)
        bytes_let_in = bytes_let_in + #body
        if keys ~= places and mark ~= string.sub(places[i], KEY_BYTES + 1) or keys == places and mark ~= '' then
          -- It was put again, and waits at another place.
          who, keys[i] = nil, ''
        end
      end
      local has_no_owner = who and string.byte(who) == PLUS
      if who and not has_no_owner and live[who] == nil then live[who] = is_live(who) end
      if has_no_owner then
        entering[#entering + 1] = next_stamp() .. string.sub(body, from)
        forwarded = forwarded + 1
        notify(string.sub(who, 2), 'onward', key)
      elseif who and shut then
        refuse(key)
      elseif who and live[who] then
        local outgoing, owner = string.sub(body, from), owner_of(key)
        local verdict = has_id(outgoing) and meet_id(outgoing) or 'new'
        if verdict == 'new' then entering[#entering + 1] = next_stamp() .. outgoing end
        if verdict ~= 'new' then
          conflicts[owner] = (conflicts[owner] or '') .. (verdict == 'known' and ' =' or ' ') .. key
        end
        last[owner] = string.sub(key, 13)
      end
    end
    if #entering > 0 then redis.call('RPUSH', pending, unpack(entering)) end
    redis.call('LTRIM', putters, #places, -1)
    redis.call('HDEL', bodies, unpack(keys))
    looked_at = looked_at + #places
    total, free = total + #entering, free - #entering
    if shut then
      local upto = tonumber(redis.call('HGET', settings, 'refused_upto') or 0)
      if upto > 0 then redis.call('HSET', settings, 'refused_upto', math.max(0, upto - #places)) end
    end
  end
  for owner, sequence in pairs(last) do
    local _, refused = putter_record(owner)
    local all = string.match(refused .. (conflicts[owner] or ''), '^ ?(.*)$')
    redis.call('HSET', lanes, owner .. ':line', string.format('%.0f', now) .. ' ' .. sequence .. ' ' .. all)
    notify(owner, 'admitted', sequence)
  end
  if shut then tell_shut_out() end
  if forwarded > 0 then redis.call('HINCRBY', totals, 'onward', -forwarded) end
  count_put(total - forwarded)
  if looked_at > 0 and redis.call('HLEN', bodies) == 0 then redis.call('DEL', putters) end
  return total
end
