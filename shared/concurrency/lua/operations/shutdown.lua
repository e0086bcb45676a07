#!lua flags=allow-oom
-- Shuts a queue down: no put enters, those that wait leave the line. At once: what waits for delivery becomes dead letters.
-- KEYS pending returned suspects delayed putters bodies dead dead_index sessions idle ids ids_due results results_due
--   given_up joiners settings totals
-- ARGV
--   immediate  1: nothing more is handed out
-- RETURNS messages still to be made dead letters: call again while there are some
-- PARTS clock identity sessions room unfinished notify wake entry answer dead_letter stamp finish
redis.call('HSET', settings, 'shutdown', immediate == '1' and 'immediate' or 'drain')
local buried = 0
local function bury_one(key, entry)
  make_dead_letter(key, entry, 'shutdown', 'the queue was shut down before it was handled')
  buried = buried + 1
end
local told = {}
for _, key in ipairs(redis.call('LRANGE', putters, 0, -1)) do
  local parked = redis.call('HGET', bodies, key)
  local onward = parked and string.byte(parked) == 43
  -- What came with an acknowledgement was accepted: it is let in as room appears.
  if onward and immediate == '1' then bury_one(key, next_stamp() .. string.sub(parked, string.find(parked, ' ', 1, true) + 1)) end
  if parked and not onward then told[owner_of(parked)] = true end
  if not onward or immediate == '1' then
    redis.call('LREM', putters, 1, key)
    redis.call('HDEL', bodies, key)
  end
end
count_put(0)
for owner in pairs(told) do notify(owner, 'shutdown') end

local function bury_all(entries)
  for _, entry in ipairs(entries) do bury_one(string.sub(entry, 17, 38), entry) end
  return #entries
end
if immediate == '1' then
  for _, list in ipairs({pending, returned, suspects}) do
    local count = buried < 500 and bury_all(redis.call('LRANGE', list, 0, 499 - buried)) or 0
    if count > 0 then redis.call('LTRIM', list, count, -1) end
  end
  if buried < 500 then
    local count = bury_all(redis.call('ZRANGE', delayed, 0, 499 - buried))
    if count > 0 then redis.call('ZREMRANGEBYRANK', delayed, 0, count - 1) end
  end
end
notify_if_finished(true, redis.call('HGET', settings, 'joining'))
local fresh, later = waiting()
return immediate == '1' and fresh + later or 0
