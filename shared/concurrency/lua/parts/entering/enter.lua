-- Lets entries[first..last] of a put in; the caller has seen to it that there is room. One alone is handed to a session that
-- waits for a handoff, if there is one: GETTER, looked up before anything is written.
local handed_over = 0
-- FLOW
-- Whether an entry is in its place here, for it has a NAME.
local function enter_named(entry, is_behind, getter)
  local name, from = order.name(entry, 49)
  if not name then return false end
  local is_calm_first = order.is_calm_first(entry, from)
  if not is_calm_first and not is_behind and getter and hand_off(getter, entry) then
    handed_over = 1
    order.handed_named(name, entry, from)
    return true
  end
  if not order.admit_named(name, entry, from, is_behind) and not is_behind then redis.call('RPUSH', pending, entry) end
  return true
end
-- END
local function enter(first, last, getter)
  if #entries == 1 and first == last then
    local entry = next_stamp() .. entries[1]
    -- FLOW
    local is_behind = order.stands_behind(entry, order.key(entry, 49))
    order.write()
    if enter_named(entry, is_behind, getter) or is_behind then return end
    -- END
    if getter and hand_off(getter, entry) then handed_over = 1 else redis.call('RPUSH', pending, entry) end
    return
  end
  for from = first, last, 1000 do
    local batch, mark = {}, next_stamp()
    for i = from, math.min(from + 999, last) do batch[#batch + 1] = mark .. entries[i] end
    -- FLOW
    batch = order.in_play(batch)
    -- What carries a NAME is put one by one: its turn may have come among others of its call.
    if first == last and #batch == 1 and enter_named(batch[1], false) then batch = {} end
    -- END
    if #batch > 0 then redis.call('RPUSH', pending, unpack(batch)) end
  end
end
