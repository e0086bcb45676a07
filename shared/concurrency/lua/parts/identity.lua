-- An id is OWNER.NUMBER.TIME_TO_LIVE_MS; the owner (12 characters) is a process, and outlives its ids.
local function owner_of(id) return string.sub(id, 1, 12) end
local function time_to_live(id) return tonumber(string.match(id, '(%d+)$')) end
local function channel_of(id) return 'weir:' .. owner_of(id) end
