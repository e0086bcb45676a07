-- Has a shutdown go on along the line, MOST places at most, and lets the owners know, in the order of the line: `refused_upto` places
-- at its front are looked at already. What came with an acknowledgement was accepted: it stays, and is admitted as room appears; or
-- END_ONE ends it. Returns how many places are left, and how many are looked at.
local MOST_BYTES_REFUSED = 2097152
local function refuse_waiting(most, end_one)
  -- FLOW
  local own = redis.call('ZCARD', line_own) > 0 and order.own_to_line(most) or 0
  local fair = own > 0 and redis.call('ZCARD', line_fair) or order.fair_to_line(most)
  if own + fair > 0 then return redis.call('LLEN', putters) + own + fair, 0 end
  -- END
  local length = redis.call('LLEN', putters)
  local upto = end_one and 0 or tonumber(redis.call('HGET', settings, 'refused_upto') or 0)
  if length <= upto then return 0, length end
  local places = redis.call('LRANGE', putters, upto, upto + most - 1)
  local gone, refused, kept, looked, bytes, largest, ended, first_kept = {}, {}, {}, 0, 0, 0, 0, nil
  while looked < #places and bytes < MOST_BYTES_REFUSED and ended < 500 do
    local keys, slice = {}, (end_one or largest == 0) and 1 or math.min(16, math.ceil((MOST_BYTES_REFUSED - bytes) / largest))
    for i = looked + 1, math.min(looked + slice, #places) do keys[#keys + 1] = string.sub(places[i], 1, KEY_BYTES) end
    for i, body in ipairs(redis.call('HMGET', bodies, unpack(keys))) do
      local key, who, mark, from = keys[i], string.match(body or '', WAITS)
      bytes, largest = bytes + #(body or ''), math.max(largest, #(body or ''))
      if who and key .. mark == places[looked + i] then
        local is_fold = string.byte(who) == FOLD
        local is_accepted = is_fold or string.byte(who) == PLUS
        if is_accepted and not end_one then
          kept[#kept + 1] = places[looked + i]
          first_kept = first_kept or looked + i
        else
          gone[#gone + 1] = key
        end
        -- FLOW
        if not is_fold and (end_one or not is_accepted) then order.leave_line_of_name(string.sub(body, from)) end
        -- END
        if is_fold and end_one then
          local entries = entries_of(body, from)
          for _, outgoing in ipairs(entries) do end_one(string.sub(outgoing, 1, KEY_BYTES), next_stamp() .. outgoing) end
          ended = ended + #entries
          redis.call('HINCRBY', totals, 'folded', 1 - #entries)
        elseif is_accepted and end_one then
          -- FLOW
          order.count_named(string.sub(body, from))
          -- END
          end_one(key, next_stamp() .. string.sub(body, from))
          ended = ended + 1
        elseif not is_accepted then
          local owner = owner_of(key)
          refused[owner] = refused[owner] or {}
          table.insert(refused[owner], ' -' .. key)
        end
      end
    end
    looked = looked + #keys
  end
  if #gone > 0 then redis.call('HDEL', bodies, unpack(gone)) end
  if ended > 0 then redis.call('HINCRBY', totals, 'onward', -ended) end
  for owner, keys in pairs(refused) do
    local last, before = putter_record(owner)
    local all = string.match(before .. table.concat(keys), '^ ?(.*)$')
    redis.call('HSET', lanes, owner .. ':line', string.format('%.0f %.0f ', now, last) .. all)
    notify(owner, 'shutdown')
  end
  if looked == length then
    -- All of it, and as it seems a short one.
    redis.call('DEL', putters)
    if #kept > 0 then redis.call('RPUSH', putters, unpack(kept)) end
    length, upto = #kept, #kept
  else
    -- Those in front of the first that stays need no place.
    local leading = upto == 0 and (first_kept or looked + 1) - 1 or 0
    redis.call('LTRIM', putters, leading, -1)
    length, upto = length - leading, upto + looked - leading
    if redis.call('HLEN', bodies) == 0 then
      redis.call('DEL', putters)
      length, upto = 0, 0
    end
  end
  redis.call('HSET', settings, 'refused_upto', upto)
  return length - upto, upto
end
