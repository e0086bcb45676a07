#!lua flags=allow-oom,no-writes
-- Finds those of some messages for which `cancel` was called; for who holds them, and may have missed the notification.
-- KEYS marks
-- ARGV
--   keys  ... keys of messages, 1000 at most
-- RETURNS the keys of those, joined
local found = {}
if redis.call('ZCARD', marks) > 0 then
  for i, mark in ipairs(redis.call('ZMSCORE', marks, unpack(keys))) do
    if mark and tonumber(mark) % 1 ~= 0 then found[#found + 1] = keys[i] end
  end
end
return table.concat(found)
