-- What a process is told names the tag of the keys, for one channel serves all that the process uses.
local name = string.match(KEYS[1], '^{(.*)}:')

local function tell(id, what, more)
  return redis.call('PUBLISH', channel_of(id), what .. ' ' .. name .. (more and ' ' .. more or ''))
end
