-- A put of one message may hand it to the session that has been idle longest, if that session takes handoffs: a copy travels
-- with the notification, and is handled one round trip earlier. The session's own hash is no key of a put: `handed` keeps the
-- entry until the session's next call, its recovery or its end.
-- A healthy session looks again within a second: one that has not looked for longer may be stopped or cut off, or rests for more
-- than a minute. It is woken.
local FRESH_US, MOST_BYTES_HANDED = 1500000, 65536

-- Whether anybody can read it: what is of a later protocol (its FLAG) is for who knows it to take.
local DOT, OF_ID, OF_RESULT, OF_BOTH = 46, 105, 114, 115
local function may_be_handed(outgoing)
  local flag = string.byte(outgoing, 33)
  -- FLOW
  -- What has a limit is delivered by a take, which counts it.
  if order.FLAGS[flag] then return not order.has_gate(outgoing) end
  -- END
  return flag == DOT or flag == OF_RESULT or flag == OF_ID or flag == OF_BOTH
end

-- Looked up before anything is written, for a key may be spoilt.
local function who_waits()
  local first = redis.call('ZRANGE', idle, 0, 0, 'WITHSCORES')
  local id = first[1]
  if not id or redis.call('HGET', handed, id) ~= '' then return nil end
  return is_live(id) and now_us - tonumber(first[2]) < FRESH_US and id or nil
end

local function hand_off(id, entry)
  -- FLOW
  if order.count_beside_pending() > 0 then return false end
  -- END
  if #entry > MOST_BYTES_HANDED or redis.call('LLEN', pending) + redis.call('LLEN', returned) + redis.call('LLEN', suspects) > 0 then
    return false
  end
  if notify(id, 'handed', id .. ' ' .. entry) == 0 then return false end
  redis.call('HSET', handed, id, entry)
  redis.call('ZREM', idle, id)
  return true
end
