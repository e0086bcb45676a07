-- Wakes the session that has been idle longest; one that is over, or whose process receives nothing, is passed over.
-- Returns whether one was woken.
local function wake_one()
  for _ = 1, 10 do
    local id = redis.call('ZPOPMIN', idle)[1]
    if not id then return false end
    if is_live(id) and notify(id, 'wake') > 0 then return true end
  end
  return false
end
