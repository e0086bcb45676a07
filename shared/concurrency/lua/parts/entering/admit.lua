-- Moves up to FREE waiting puts to pending, first come first served, and notifies their owners.
-- A put whose owner's session is over is dropped: it never returned. Those that came with an acknowledgement have no owner
-- (`+`, and whom to notify) and count as put already.
local PLUS = 43
local function admit(free)
  local total, forwarded, last, conflicts, live = 0, 0, {}, {}, {}
  while free > 0 do
    local keys = redis.call('LRANGE', putters, 0, math.min(free, 500) - 1)
    if #keys == 0 then break end
    local waits, entering = redis.call('HMGET', bodies, unpack(keys)), {}
    for i, key in ipairs(keys) do
      local gap = waits[i] and string.find(waits[i], ' ', 1, true)
      local session = gap and string.sub(waits[i], 1, gap - 1)
      local has_no_owner = session and string.byte(session) == PLUS
      if session and not has_no_owner and live[session] == nil then live[session] = is_live(session) end
      if has_no_owner then
        entering[#entering + 1] = next_stamp() .. string.sub(waits[i], gap + 1)
        forwarded = forwarded + 1
        notify(string.sub(session, 2), 'onward', key)
      elseif session and live[session] then
        local outgoing, owner = string.sub(waits[i], gap + 1), owner_of(key)
        local verdict = has_id(outgoing) and meet_id(outgoing) or 'new'
        if verdict == 'new' then entering[#entering + 1] = next_stamp() .. outgoing end
        if verdict ~= 'new' then
          conflicts[owner] = (conflicts[owner] or '') .. (verdict == 'known' and ' =' or ' ') .. key
        end
        last[owner] = string.sub(key, 13)
      end
    end
    if #entering > 0 then redis.call('RPUSH', pending, unpack(entering)) end
    redis.call('LTRIM', putters, #keys, -1)
    redis.call('HDEL', bodies, unpack(keys))
    total, free = total + #entering, free - #entering
  end
  for owner, sequence in pairs(last) do
    local _, refused = putter_record(owner)
    local all = string.match(refused .. (conflicts[owner] or ''), '^ ?(.*)$')
    redis.call('HSET', lanes, owner .. ':line', string.format('%.0f', now) .. ' ' .. sequence .. ' ' .. all)
    notify(owner, 'admitted', sequence)
  end
  count_put(total - forwarded)
  return total
end
