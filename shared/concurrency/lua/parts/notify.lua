-- What a process is told names the queue or lease, for one channel serves all that the process uses. A queue is known
-- by the tag of its keys, and in a group by what stands between the tag and the first colon, too.
local function name_of(key)
  local tag, rest = string.match(key, '^{([^}]*)}([^:]*):')
  return tag .. rest
end
local name = name_of(KEYS[1])

local function notify(id, what, more)
  return redis.call('PUBLISH', channel_of(id), what .. ' ' .. name .. (more and ' ' .. more or ''))
end
