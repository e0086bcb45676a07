-- Known ids: the caller's id of a message, recorded when the message is admitted.
-- An outgoing entry has no stamp yet: its flag stands at 33, and its headers at 37, behind their length.
local HAS_ID, HAS_ID_AND_RESULT, FLOW_ID, FLOW_ID_AND_RESULT = 105, 115, 103, 117

local function has_id(outgoing)
  local flag = string.byte(outgoing, 33)
  return flag == HAS_ID or flag == HAS_ID_AND_RESULT or flag == FLOW_ID or flag == FLOW_ID_AND_RESULT
end

-- Its headers; nil where another program wrote something else than an id there, which must not stop the queue: it has none then.
local LONGEST_KNOWN_MS = 31622400000
local function headers_of(outgoing)
  local good, found = pcall(cjson.decode, string.sub(outgoing, 37, 36 + (tonumber(string.sub(outgoing, 34, 36)) or 0)))
  if not good or type(found) ~= 'table' or type(found.id) ~= 'string' or type(found.digest) ~= 'string' then return nil end
  local known_ms = type(found.known_ms) == 'number' and found.known_ms or -1
  return known_ms >= 0 and known_ms <= LONGEST_KNOWN_MS and found or nil
end

-- What is known of an id: 'new', 'known' (the same message again) or 'conflict' (another body).
local function look_up_id(headers)
  local record = redis.call('HGET', ids, headers.id)
  if not record then return 'new' end
  local expiry, digest = string.match(record, '^(%d+) (%S+)')
  if not expiry or tonumber(expiry) <= now then return 'new' end
  return digest == headers.digest and 'known' or 'conflict'
end

-- Beside the digest stands the key of the message, behind `-` where nobody asked for the result.
local function record_id(outgoing, headers)
  local expiry = string.format('%.0f', now + headers.known_ms)
  local flag = string.byte(outgoing, 33)
  local key = ((flag == HAS_ID_AND_RESULT or flag == FLOW_ID_AND_RESULT) and ' ' or ' -') .. string.sub(outgoing, 1, 22)
  redis.call('HSET', ids, headers.id, expiry .. ' ' .. headers.digest .. key)
  redis.call('ZADD', ids_due, expiry, headers.id)
  local old = redis.call('ZRANGEBYSCORE', ids_due, '-inf', now, 'LIMIT', 0, 10)
  if #old > 0 then
    redis.call('HDEL', ids, unpack(old))
    redis.call('ZREM', ids_due, unpack(old))
  end
end

-- Looks the id up and records it when it is new.
local function meet_id(outgoing)
  local headers = headers_of(outgoing)
  if not headers then return 'new' end
  local met = look_up_id(headers)
  if met == 'new' then record_id(outgoing, headers) end
  return met
end
