#!lua flags=allow-oom
-- Notifies those who submitted messages how far these are, where the session still holds them.
-- KEYS leased handed results results_due
-- ARGV
--   session  the caller's session
--   words    ... receipt (45 bytes); the fraction that is done, a space and a text; `kept` where its id has others listen, else ''
-- RETURNS how many connections were notified
-- PARTS clock identity notify
local KEPT_MS = 3600000

-- Keeps the newest report of a message beside its outcome, for those who listen in other processes.
local function keep(field, report)
  local expiry = string.format('%.0f', now + KEPT_MS)
  redis.call('HSET', results, field, report)
  redis.call('ZADD', results_due, expiry, field)
  if redis.call('PTTL', results) < KEPT_MS then
    for _, word in ipairs({results, results_due}) do redis.call('PEXPIRE', word, KEPT_MS + 60000) end
  end
end

local received = string.sub(redis.call('HGET', handed, session) or '', 1, 45)
local notified = 0
for at = 1, #words, 3 do
  local receipt = words[at]
  if receipt == received or redis.call('HEXISTS', leased, receipt) == 1 then
    local key = string.sub(receipt, 17, 38)
    if words[at + 2] == 'kept' then keep(key .. '~', words[at + 1]) end
    notified = notified + notify(key, 'progress', key .. words[at + 1])
  end
end
return notified
