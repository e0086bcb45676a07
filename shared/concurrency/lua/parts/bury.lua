-- Makes a dead letter of an entry: reason, times and the original bytes. KEY is unique among all messages.
local function bury(key, entry, reason, report)
  local about = cjson.encode({reason = reason, error = report, died_ms = now})
  redis.call('HSET', dead, key, about .. '\n' .. entry)
  redis.call('ZADD', dead_index, now, key)
  redis.call('HINCRBY', totals, 'dead', 1)
end
