#!lua flags=allow-oom
-- Reads a page of dead letters, oldest first.
-- KEYS
--   dead        HASH  key -> dead letter
--   dead_index  ZSET  key -> time of death in ms
-- ARGV
--   start  how many to pass over
--   count  how many to read at most
-- RETURNS (key, letter) pairs; a letter is JSON (reason, error, died_ms), a newline, the entry
local keys = redis.call('ZRANGE', dead_index, start, start + count - 1)
local page = {}
for _, key in ipairs(keys) do
  local letter = redis.call('HGET', dead, key)
  if letter then
    page[#page + 1] = key
    page[#page + 1] = letter
  end
end
return page
