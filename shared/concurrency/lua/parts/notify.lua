-- A notification names the queue or lease, for one channel serves all that the process uses. A queue is known by the tag of
-- its keys, and in a group also by what stands between the tag and the first colon.
local function name_of(key)
  local tag, rest = string.match(key, '^{([^}]*)}([^:]*):')
  return tag .. rest
end
local name = name_of(KEYS[1])

-- Publishes `WORD NAME MORE` to the process of an id; returns how many connections received it.
local function notify(id, word, more)
  return redis.call('PUBLISH', channel_of(id), word .. ' ' .. name .. (more and ' ' .. more or ''))
end
