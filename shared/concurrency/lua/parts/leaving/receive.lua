-- Ends the wait of a session for a handed entry. Where a put has handed it one, it is among what the session holds,
-- LEASED, from here on, and returned.
local function receive(id)
  local entry = redis.call('HGET', handed, id)
  if not entry then return nil end
  if entry ~= '' then redis.call('HSET', leased, string.sub(entry, 1, 45), entry) end
  redis.call('HDEL', handed, id)
  return entry ~= '' and entry or nil
end
