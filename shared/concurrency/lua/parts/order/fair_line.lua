-- The line is fair too, of the flow set: a put that has a share or a priority and finds no room waits in `line_fair`, under a tag of the
-- line's own time. Its body stands among those of the others; its owner is told by its key that it was let in.
do
-- Has puts wait, whose bodies are there: KEYS[i] is the key, or the place, of OUTGOING[first + i - 1], 1000 at most. Returns those of the
-- default flow, which wait in the common line.
function order.park_fair(keys, outgoing, first)
  local plain, tagged, flows = {}, {}, {}
  for i, key in ipairs(keys) do
    local name = order.flow(outgoing[first + i - 1], 33)
    if name then
      tagged[#tagged + 1], flows[#flows + 1] = string.sub(key, 1, order.MESSAGE_BYTES), name
    else
      plain[#plain + 1] = key
    end
  end
  if #tagged > 0 then order.add_tagged(order.waiting, line_fair, tagged, flows, 0) end
  return plain
end

-- The puts whose turn is before that of the common line, MOST at most, and the tag of the last of them; then how many of the common line
-- go before the next one.
function order.fair_turns(most)
  local heads = redis.call('ZRANGE', line_fair, 0, most - 1, 'WITHSCORES')
  if #heads == 0 then return heads, 0, math.huge end
  order.load_time(order.waiting)
  local V, F = order.waiting.V, order.waiting.F
  local default = redis.call('LLEN', putters) > 0 and math.max(V, F) or math.huge
  local keys, last = {}, V
  for i = 1, #heads, 2 do
    local tag = tonumber(heads[i + 1])
    if tag > default then return keys, last, math.max(1, math.ceil((tag - default) / order.COST_OF_DEFAULT)) end
    keys[#keys + 1], last = heads[i], tag
  end
  return keys, last, 1
end
end
