-- How puts leave that wait for their own KEY or limit: see the part `own`.
do
local OWN_MARK_BYTES = 17
-- A put that leaves the line: where it waited for something of its own, its place goes with it.
function order.leave_own(body, mark, from)
  if #mark ~= OWN_MARK_BYTES then return end
  local outgoing = string.sub(body, from)
  local share, key, limit = string.match(outgoing, '^{"flow":"%d (%S*) (%S*) (%S*) ', 37)
  if not share then return end
  local place = ' ' .. string.sub(mark, 2) .. string.sub(outgoing, 1, order.MESSAGE_BYTES)
  redis.call('ZREM', line_own, 'k' .. key .. place, 'l' .. limit .. place, 's' .. share .. place)
end

-- Moves those that wait for something of their own to the front of the line, the last first, MOST at most: a queue that is shut down has one line.
-- Returns how many are left.
function order.own_to_line(most)
  local waits = redis.call('ZRANGE', line_own, -most, -1)
  local places = {}
  for at = #waits, 1, -1 do
    local mark, message = string.match(waits[at], '^[kls]%S+ (%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)(.*)$')
    if mark then places[#places + 1] = message .. '@' .. mark end
  end
  if #places > 0 then redis.call('LPUSH', putters, unpack(places)) end
  if #waits > 0 then redis.call('ZREM', line_own, unpack(waits)) end
  return redis.call('ZCARD', line_own)
end
end
