-- Hands the one message that there is to the session that has been idle longest, if it wants it so, with a copy in the
-- wake-up: handled one round trip earlier. The session's own hash is no key of a put: `handed` keeps the entry until the
-- session's next call, its recovery or its end.
local function hand(entry)
  if #entry > 65536 or redis.call('LLEN', pending) + redis.call('LLEN', returned) + redis.call('LLEN', suspects) > 0 then
    return false
  end
  local id = redis.call('ZRANGE', idle, 0, 0)[1]
  if not id or redis.call('HGET', handed, id) ~= '' or not is_live(id) then return false end
  redis.call('HSET', handed, id, entry)
  if tell(id, 'handed', id .. ' ' .. entry) == 0 then
    redis.call('HSET', handed, id, '')
    return false
  end
  redis.call('ZREM', idle, id)
  return true
end
