-- A session id is OWNER.NUMBER.TIME_TO_LIVE_MS; the owner (12 characters) outlives its sessions.
local function owner_of(id) return string.sub(id, 1, 12) end
local function time_to_live(id) return tonumber(string.match(id, '(%d+)$')) end
local function channel_of(id) return 'weir:' .. owner_of(id) end

-- A session is live until its deadline has passed; a session nobody knows is over.
local function is_live(id)
  local deadline = redis.call('ZSCORE', sessions, id)
  return deadline ~= false and tonumber(deadline) >= now
end
