-- Has a shutdown go on along the line, MOST places at most: `refused_upto` places at its front are looked at already. What came with
-- an acknowledgement was accepted: it stays, and is admitted as room appears; or END_ONE ends it. Returns the places that are left.
local function refuse_waiting(most, end_one)
  local is_short = redis.call('LLEN', putters) <= SHORT_LINE
  local upto = end_one and 0 or tonumber(redis.call('HGET', settings, 'refused_upto') or 0)
  local places = redis.call('LRANGE', putters, upto, upto + most - 1)
  if #places == 0 then return 0 end
  local keys, waits, bytes = keys_of_places(places), {}, 0
  for first = 1, #keys, 50 do
    if bytes >= 4194304 then break end
    for _, body in ipairs(redis.call('HMGET', bodies, unpack(keys, first, math.min(first + 49, #keys)))) do
      waits[#waits + 1] = body
      bytes = bytes + (body and #body or 0)
    end
  end
  local count, kept, gone, ended = #waits, {}, {}, 0
  local first_kept = nil
  for i, body in ipairs(waits) do
    local who, mark, from
    if body then who, mark, from = read_body(body) end
    if who and mark == string.sub(places[i], KEY_BYTES + 1) then
      local is_accepted = string.byte(who) == PLUS
      if is_accepted and not end_one then
        kept[#kept + 1] = places[i]
        first_kept = first_kept or i
      else
        gone[#gone + 1] = keys[i]
        if is_accepted then
          end_one(keys[i], next_stamp() .. string.sub(body, from))
          ended = ended + 1
        else
          refuse(keys[i])
        end
      end
    end
  end
  if #gone > 0 then redis.call('HDEL', bodies, unpack(gone)) end
  if ended > 0 then redis.call('HINCRBY', totals, 'onward', -ended) end
  tell_shut_out()
  if is_short and upto == 0 and count < most and count == #places then
    -- All of it.
    redis.call('DEL', putters)
    if #kept > 0 then redis.call('RPUSH', putters, unpack(kept)) end
    upto = #kept
  else
    local leading = upto == 0 and (first_kept or count + 1) - 1 or 0
    redis.call('LTRIM', putters, leading, -1)
    upto = upto + count - leading
  end
  redis.call('HSET', settings, 'refused_upto', upto)
  tidy_line()
  return math.max(0, redis.call('LLEN', putters) - upto)
end
