#!lua flags=allow-oom
-- Deletes dead letters.
-- KEYS dead dead_index lanes
-- ARGV
--   session  the caller's session
--   number   this call's number in its lane; a repetition carries the same
--   places   ... places or keys of the dead letters, 500 at most
-- RETURNS letters deleted
-- PARTS clock identity places one_effect
local before = answered()
if before then return before end
local discarded = 0
for _, place in ipairs(places) do
  local key, letter = letter_at(place)
  if letter then
    redis.call('ZREM', dead_index, key)
    discarded = discarded + redis.call('HDEL', dead, key)
  end
end
return answer_once({discarded})
