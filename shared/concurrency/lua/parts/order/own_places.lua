-- How puts leave that wait for their own KEY: see the part `own`.
do
local OWN_MARK_BYTES = 17
-- A put that leaves the line: where it waited for its KEY, its place goes with it.
function order.leave_own(body, mark, from)
  if #mark ~= OWN_MARK_BYTES then return end
  local outgoing = string.sub(body, from)
  local key = order.key(outgoing, 33)
  if key then redis.call('ZREM', line_own, 'k' .. key .. ' ' .. string.sub(mark, 2) .. string.sub(outgoing, 1, order.MESSAGE_BYTES)) end
end

-- Moves those that wait for their own KEY to the front of the line, the last first, MOST at most: a queue that is shut down has one line.
-- Returns how many are left.
function order.own_to_line(most, is_shut)
  -- What says who waits under a NAME is of no use there; else it stays.
  local waits = is_shut and redis.call('ZRANGE', line_own, -most, -1) or redis.call('ZREVRANGEBYLEX', line_own, '(o', '-', 'LIMIT', 0, most)
  if not is_shut then table.sort(waits) end
  local places = {}
  for at = #waits, 1, -1 do
    local mark, message = string.match(waits[at], '^k%S+ (%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)(.*)$')
    if mark then places[#places + 1] = message .. '@' .. mark end
  end
  if #places > 0 then redis.call('LPUSH', putters, unpack(places)) end
  if #waits > 0 then redis.call('ZREM', line_own, unpack(waits)) end
  return redis.call('ZCARD', line_own)
end
end
