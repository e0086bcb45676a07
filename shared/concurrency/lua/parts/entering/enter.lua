-- Lets entries[first..last] of a put in; the caller has seen to it that there is room. One alone is handed to a session that
-- waits for a handoff, if there is one: GETTER, looked up before anything is written.
local handed_over = 0
-- FLOW
-- Whether an outgoing entry is let in here, for it has a NAME.
local function enter_named(outgoing, getter)
  local name, from = order.name(outgoing, 33)
  if not name then return false end
  local entry = next_stamp() .. outgoing
  local is_behind = order.stands_behind(entry, order.key(entry, 49))
  order.write()
  if not is_behind and getter and not order.is_calm_first(outgoing, from) and hand_off(getter, entry) then
    handed_over = 1
    order.handed_named(name, entry, from + 16)
  else
    local goes_on = not order.admit_named(name, entry, from + 16, is_behind) and not is_behind and order.passes(entry, '1')
    order.write_gates()
    if goes_on then order.send_on({entry}, pending) end
  end
  return true
end
-- END
local function enter(first, last, getter)
  -- FLOW
  if first == last and enter_named(entries[first], getter) then return end
  -- END
  if #entries == 1 and first == last then
    local entry = next_stamp() .. entries[1]
    -- FLOW
    local goes_on = order.goes_on(entry, order.key(entry, 49))
    order.write()
    if not goes_on then return end
    if not getter or not hand_off(getter, entry) then return order.send_on({entry}, pending) end
    handed_over = 1
    do return end
    -- END
    if getter and hand_off(getter, entry) then handed_over = 1 else redis.call('RPUSH', pending, entry) end
    return
  end
  for from = first, last, 1000 do
    local batch, mark = {}, next_stamp()
    for i = from, math.min(from + 999, last) do batch[#batch + 1] = mark .. entries[i] end
    -- FLOW
    order.send_on(order.in_play(batch), pending)
    batch = {}
    -- END
    if #batch > 0 then redis.call('RPUSH', pending, unpack(batch)) end
  end
end
