-- Notifies those who wait for the end: joiners, and getters of a queue that is shut down.
local function notify_if_finished(shut, joining)
  if not (shut or joining) or unfinished() > 0 then return end
  if joining then
    for _, id in ipairs(redis.call('ZRANGE', joiners, 0, -1)) do notify(id, 'finished') end
    redis.call('DEL', joiners)
    redis.call('HDEL', settings, 'joining')
  end
  if shut then
    for _, id in ipairs(redis.call('ZRANGE', idle, 0, -1)) do notify(id, 'wake') end
    redis.call('DEL', idle)
  end
end
