-- Notifies those who wait for the end: joiners, and getters of a queue that is shut down. So many a call: the others ask again
-- within a second, and have the next ones notified.
local MOST_NOTIFIED = 1000
local function notify_first(who, word)
  local first = redis.call('ZPOPMIN', who, MOST_NOTIFIED)
  for i = 1, #first, 2 do notify(first[i], word) end
  return #first < 2 * MOST_NOTIFIED
end
local function notify_if_finished(shut, joining)
  if not (shut or joining) or unfinished() > 0 then return end
  if joining and notify_first(joiners, 'finished') then redis.call('HDEL', settings, 'joining') end
  if shut then notify_first(idle, 'wake') end
end
