#!lua flags=allow-oom
-- Deletes dead letters.
-- KEYS dead dead_index dead_groups lanes settings
-- ARGV
--   session  the caller's session
--   number   this call's number in its lane; a repetition carries the same
--   places   ... places or keys of the dead letters, 500 at most
-- RETURNS letters deleted, how many of the places were looked at: until there are 2 MiB, or one that is larger
-- PARTS clock identity level places letter_groups one_effect
local before = answered()
if before then return before end
local discarded, looked, bytes = 0, 0, 0
for _, place in ipairs(places) do
  local key = key_at(place)
  local size = key and redis.call('HSTRLEN', dead, key) or 0
  if bytes > 0 and bytes + size > 2097152 then break end
  looked, bytes = looked + 1, bytes + size
  local letter = key and redis.call('HGET', dead, key)
  if letter then
    letter_groups().uncount(letter)
    redis.call('HDEL', dead, key)
    redis.call('ZREM', dead_index, key)
    discarded = discarded + 1
  end
end
return answer_once({discarded, looked})
