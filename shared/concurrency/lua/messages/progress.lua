#!lua flags=allow-oom
-- Tells those who submitted messages how far these are, where the session still holds them.
-- KEYS leased handed
-- ARGV
--   session  the caller's session
--   words    ... field (45 bytes), then the fraction that is done, a space and a text; two to a delivery
-- RETURNS how many were told
-- PARTS identity notify
local received = string.sub(redis.call('HGET', handed, session) or '', 1, 45)
local told = 0
for at = 1, #words, 2 do
  local field = words[at]
  if field == received or redis.call('HEXISTS', leased, field) == 1 then
    local key = string.sub(field, 17, 38)
    told = told + notify(key, 'progress', key .. words[at + 1])
  end
end
return told
