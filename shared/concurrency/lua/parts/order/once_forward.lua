-- What a put of a NAME meets that travels with an acknowledgement, of the flow set. It was put when that was done, though it waits for room:
-- so of a NAME one without an owner is in line at most, and what is put later takes its place. Its key sorts before any with an owner.
do
local ONCE = '^,"once":"([rk]) (%d+) (%d+) (%d+)"()'

-- What goes in instead of BEFORE, which waits in line: with its flow, and what both ask for; nil where that is as it is.
local function joined(before, outgoing, from)
  local _, from_before = order.name(before, 33)
  local how, calm, longest, every, rest_before = string.match(before, ONCE, from_before)
  local how_now, calm_now, longest_now, _, rest = string.match(outgoing, ONCE, from)
  if not how or not how_now then return nil end
  local replaces, moves = how_now == 'r', calm ~= '0' and calm_now ~= '0'
  if not replaces and not moves then return nil end
  if moves then calm, longest = calm_now, longest_now end
  if replaces then how = 'r' end
  local newest = replaces and outgoing or before
  local ends = 37 + (tonumber(string.sub(newest, 34, 36)) or 0)
  local headers = string.match(newest, '^{"flow":"[^"]*"', 37) .. ',"once":"' .. how .. ' ' .. calm .. ' ' .. longest .. ' ' .. every .. '"'
    .. string.sub(newest, replaces and rest or rest_before, ends - 1)
  return string.sub(order.with_flow_of(string.rep('0', 16) .. before, string.sub(newest, 33, 33), headers, string.sub(newest, ends)), 17)
end

-- Whether the put adds nothing: it is left, or one that waits has its item now. Those in line that have an owner have not returned: they
-- count as later.
function order.meet_forwarded(name, outgoing, from)
  local key = order.named_in_line(name, 1)[1]
  local body = key and string.byte(key) == PLUS and redis.call('HGET', bodies, key)
  local who, _, at = string.match(body or '', WAITS)
  if not who then return order.meet_name(name, outgoing, from) ~= nil end
  local newest = joined(string.sub(body, at), outgoing, from)
  if newest then redis.call('HSET', bodies, key, string.sub(body, 1, at - 1) .. newest) end
  if string.match(outgoing, ONCE, from) == 'r' then redis.call('HINCRBY', totals, 'replaced', 1) end
  return true
end
end
