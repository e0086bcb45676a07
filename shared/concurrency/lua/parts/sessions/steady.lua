-- What is delayed is due by a clock that never goes back: the server's, and `behind` ms, which is how far that went back. `clock`
-- is what a registration or a renewal saw last.
local function keep_clock()
  local kept = redis.call('HMGET', settings, 'clock', 'behind')
  local steady, seen = now + tonumber(kept[2] or 0), tonumber(kept[1] or 0)
  if steady < seen then redis.call('HSET', settings, 'behind', string.format('%.0f', seen - now)) end
  redis.call('HSET', settings, 'clock', string.format('%.0f', math.max(steady, seen)))
end
