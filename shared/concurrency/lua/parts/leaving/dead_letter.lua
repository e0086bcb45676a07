-- Makes a dead letter of an entry: reason, time and the original bytes. Its submitter gets the reason as the outcome. KEY is
-- unique among all messages; TRACE is the traceback, where there is one.
local function make_dead_letter(key, entry, reason, report, trace)
  local about = cjson.encode({reason = reason, error = report, died_ms = now})
  redis.call('HSET', dead, key, about .. '\n' .. entry)
  redis.call('ZADD', dead_index, now, key)
  redis.call('HINCRBY', totals, 'dead', 1)
  if is_asked(entry) then
    answer(key, entry, '!' .. cjson.encode({reason = reason, error = report, traceback = trace or ''}))
  end
end
