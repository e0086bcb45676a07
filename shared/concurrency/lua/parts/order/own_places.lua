-- How puts leave that wait for their own KEY or limit: see the part `own`.
do
local OWN_MARK_BYTES = 17
-- A put that leaves the line: where it waited for something of its own, or in the fair line, its place goes with it.
function order.leave_place(message, body, mark, from)
  local outgoing = string.sub(body, from)
  if #mark ~= OWN_MARK_BYTES then
    if order.FLAGS[string.byte(outgoing, 33)] and redis.call('ZREM', line_fair, message) == 1 then order.has_touched = true end
    return
  end
  local name, key, limit = order.way(outgoing, 33)
  if not name then return end
  local place = ' ' .. string.sub(mark, 2) .. message
  redis.call('ZREM', line_own, 'k' .. key .. place, 'l' .. limit .. place, 's' .. string.sub(name, 3) .. place)
end

-- Moves those that wait for something of their own to the front of the line, the last first, MOST at most: a queue that is shut down has one line.
-- What says who waits under a NAME stays. Returns how many are left beside that.
function order.own_to_line(most)
  local waits = redis.call('ZREVRANGEBYLEX', line_own, '(o', '-', 'LIMIT', 0, most)
  if #waits == 0 then waits = redis.call('ZREVRANGEBYLEX', line_own, '+', '[s', 'LIMIT', 0, most) end
  table.sort(waits)
  local places = {}
  for at = #waits, 1, -1 do
    local mark, message = string.match(waits[at], '^[kls]%S+ (%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)(.*)$')
    if mark then places[#places + 1] = message .. '@' .. mark end
  end
  if #places > 0 then redis.call('LPUSH', putters, unpack(places)) end
  if #waits > 0 then redis.call('ZREM', line_own, unpack(waits)) end
  return redis.call('ZCARD', line_own) - redis.call('ZLEXCOUNT', line_own, '[o', '(p')
end

-- Moves those of the fair line to the front of the line, the last first, MOST at most, for the same reason. Returns how many are left.
function order.fair_to_line(most)
  local keys, places = redis.call('ZRANGE', line_fair, -most, -1), {}
  if #keys == 0 then return 0 end
  for at, body in ipairs(redis.call('HMGET', bodies, unpack(keys))) do
    local mark = string.match(body or '', '^[^ @]*(@?%d*) ')
    if mark then places[#places + 1] = keys[at] .. mark end
  end
  for at = #places, 1, -1 do redis.call('LPUSH', putters, places[at]) end
  redis.call('ZREM', line_fair, unpack(keys))
  order.has_touched = true
  order.keep_times()
  return redis.call('ZCARD', line_fair)
end
end
