#!lua flags=allow-oom,no-writes
-- Looks up which entries that a process put with acknowledgements still wait for room.
-- KEYS bodies
-- ARGV
--   keys  ... keys of entries, 500 at most
-- RETURNS those that wait, joined
local waits = {}
for _, key in ipairs(keys) do
  if redis.call('HEXISTS', bodies, key) == 1 then waits[#waits + 1] = key end
end
return table.concat(waits)
