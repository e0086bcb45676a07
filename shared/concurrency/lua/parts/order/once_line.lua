-- Puts of a NAME that wait in line, of the flow set: each has a place there as any other, and `oNAME MESSAGE` in `line_own`. When one of
-- them goes in, the others are done with, for they need no room; and one that leaves the line takes nobody's place with it.
do
function order.waits_named(name, message) redis.call('ZADD', line_own, 0, 'o' .. name .. ' ' .. message) end
function order.leave_named(name, message) redis.call('ZREM', line_own, 'o' .. name .. ' ' .. message) end

-- Whether a put of this NAME is in line.
function order.is_named_in_line(name)
  return redis.call('ZLEXCOUNT', line_own, '[o' .. name .. ' ', '(o' .. name .. '!') > 0
end

-- The messages of those that are, MOST at most; those of one process in the order of its puts.
function order.named_in_line(name, most)
  local found = redis.call('ZRANGEBYLEX', line_own, '[o' .. name .. ' ', '(o' .. name .. '!', 'LIMIT', 0, most)
  for i, place in ipairs(found) do found[i] = string.sub(place, -order.MESSAGE_BYTES) end
  return found
end

-- One without an owner leaves the line otherwise than admitted: where it has a NAME it counts as put from here on.
function order.count_named(outgoing)
  if not order.name(outgoing, 33) then return end
  redis.call('HINCRBY', totals, 'named', -1)
  redis.call('HINCRBY', totals, 'put', 1)
end

-- A put leaves the line, admitted or not.
function order.leave_line_of_name(outgoing)
  local name = order.name(outgoing, 33)
  if name then order.leave_named(name, string.sub(outgoing, 1, order.MESSAGE_BYTES)) end
end
end
