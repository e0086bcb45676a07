#!lua flags=allow-oom,no-writes
-- Reads some of what a session holds, to give it back in order: until there are 2000 receipts, or 1 MiB.
-- KEYS leased
-- ARGV
--   cursor  where to go on: what the call before returned; 0 to begin
-- RETURNS where to go on, 0 at the end; receipts (45 bytes each), joined, in no order, one perhaps more than once
local receipts, bytes, count = {}, 0, 10
repeat
  local found
  cursor, found = unpack(redis.call('HSCAN', leased, cursor, 'COUNT', count))
  for at = 1, #found, 2 do
    receipts[#receipts + 1] = found[at]
    bytes = bytes + #found[at + 1]
  end
  -- The entries come along: as many as have room if they are as large as those before, twice as many as the last time at most.
  local room = math.floor((1048576 - bytes) * #receipts / math.max(bytes, 1))
  count = math.max(10, math.min(2 * count, room, 500))
until cursor == '0' or #receipts >= 2000 or bytes >= 1048576
return {cursor, table.concat(receipts)}
