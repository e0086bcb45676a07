#!lua flags=allow-oom,no-writes
-- Reads some of the flows that have a tag, in a queue that has a level.
-- KEYS flow tags
-- ARGV
--   cursor  where to go on: what the call before returned; 0 to begin
-- RETURNS the virtual times V and LV; where to go on, 0 at the end; for each flow three: its field in `tags`, the tag, its share's weight
local cursor_after, found = unpack(redis.call('HSCAN', tags, cursor, 'COUNT', 200))
local times, fields, answer = redis.call('HMGET', flow, 'V', 'LV'), {}, {}
for at = 1, #found, 2 do
  fields[#fields + 1] = 'w:' .. string.match(found[at], '^L?%d (.*)$')
end
local weights = #fields > 0 and redis.call('HMGET', flow, unpack(fields)) or {}
for i = 1, #fields do
  answer[3 * i - 2], answer[3 * i - 1], answer[3 * i] = found[2 * i - 1], found[2 * i], weights[i] or '1'
end
return {times[1] or '0', times[2] or '0', cursor_after, answer}
