-- Where an entry goes that may go, of the flow set: `order.send_on` decides for whatever has entered, and stands behind nobody, and for
-- what was let go; `order.come_back` for what was delivered before.
do
-- Moves entries, 1000 at most, to where they are taken from: those of the default flow to LIST, the others to `ready`.
function order.send_on(entries, list)
  local plain, tagged, flows = {}, {}, {}
  for _, entry in ipairs(entries) do
    local name = order.flow(entry, 49)
    if name then
      tagged[#tagged + 1], flows[#flows + 1] = entry, name
    else
      plain[#plain + 1] = entry
    end
  end
  if #plain > 0 then redis.call('RPUSH', list, unpack(plain)) end
  if #tagged > 0 then order.add_tagged(order.going, ready, tagged, flows, 0) end
end

-- A retry pays with its own share: moves those of these entries, 1000 at most, that have a share or a priority to `ready`, behind what
-- has been there before. Returns the others. One that comes back is not taken by the same call: HAS_COME_BACK knows it.
order.has_come_back = {}
function order.come_back(entries)
  local plain, tagged, flows = {}, {}, {}
  for _, entry in ipairs(entries) do
    local name = order.flow(entry, 49)
    if name then
      tagged[#tagged + 1], flows[#flows + 1], order.has_come_back[entry] = entry, name, true
    else
      plain[#plain + 1] = entry
    end
  end
  if #tagged > 0 then order.add_tagged(order.going, ready, tagged, flows, order.AGAIN) end
  return plain
end

-- How many may go that stand in neither `pending` nor `returned`.
function order.count_beside_pending() return redis.call('LLEN', released) + redis.call('ZCARD', ready) end
end
