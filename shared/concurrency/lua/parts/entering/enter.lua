-- Lets entries[first..last] of a put in; the caller has seen to it that there is room. One alone is handed to a session that
-- waits for a handoff, if there is one: GETTER, looked up before anything is written.
local handed_over = 0
local function enter(first, last, getter)
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
