-- Ends a session's wait for a handoff. The entry that a put handed to it, if one did, is leased from here on, and returned.
local function receive(id)
  local entry = redis.call('HGET', handed, id)
  if not entry then return nil end
  if entry ~= '' then redis.call('HSET', leased, string.sub(entry, 1, 45), entry) end
  redis.call('HDEL', handed, id)
  return entry ~= '' and entry or nil
end
