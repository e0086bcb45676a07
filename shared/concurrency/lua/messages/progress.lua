#!lua flags=allow-oom
-- Notifies those who submitted messages how far these are, where the session still holds them.
-- KEYS leased handed
-- ARGV
--   session  the caller's session
--   words    ... receipt (45 bytes), then the fraction that is done, a space and a text; two to a delivery
-- RETURNS how many connections were notified
-- PARTS identity notify
local received = string.sub(redis.call('HGET', handed, session) or '', 1, 45)
local notified = 0
for at = 1, #words, 2 do
  local receipt = words[at]
  if receipt == received or redis.call('HEXISTS', leased, receipt) == 1 then
    local key = string.sub(receipt, 17, 38)
    notified = notified + notify(key, 'progress', key .. words[at + 1])
  end
end
return notified
