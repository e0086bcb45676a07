#!lua flags=allow-oom,no-writes
-- Reads the limits of a queue, some at a time, and how many of each are in hands and wait.
-- KEYS settings
-- FLOW
--   flow gated running opens line_own
-- END
-- ARGV
--   cursor  where to go on: what the call before returned; 0 to begin
-- RETURNS where to go on, 0 at the end; for each limit what is stored as its name (empty: of every share), its numbers as they are stored, how
--   many are in hands, are ready, stand at its gate, are puts that wait for it, and in how many us its gate opens, -1 where no time is known
-- PARTS clock
local found = {cursor, {}}
-- FLOW
local function count(key, letter, gate)
  local of_shares = gate == 's'
  local from, to = letter .. gate .. (of_shares and '' or ' '), letter .. gate .. '!'
  return redis.call('ZLEXCOUNT', key, '[' .. from, '(' .. (of_shares and letter .. 't' or to))
end
local fields
found[1], fields = unpack(redis.call('HSCAN', flow, cursor, 'COUNT', 100))
for at = 1, #fields, 2 do
  local name = fields[at] == 's:*' and '' or string.match(fields[at], '^l:(.*)$')
  if name then
    local gate = name == '' and 's' or 'l' .. name
    local opening = name ~= '' and redis.call('ZSCORE', opens, gate)
    table.insert(found[2], {
      name, fields[at + 1], count(running, 'r', gate), count(running, 'w', gate), count(gated, '0', gate) + count(gated, '1', gate),
      count(line_own, '', gate), opening and math.max(0, tonumber(opening) - now_us) or -1,
    })
  end
end
-- END
if redis.call('EXISTS', settings) == 0 then return {'0', {}} end
return found
