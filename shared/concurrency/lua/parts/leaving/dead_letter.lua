-- What died in this call, for the log of whoever made it: key, the caller's id, class, reason and error of each. A shutdown is
-- an operator's wish, and tells how many.
local died = {}

-- Makes a dead letter of an entry: reason, time and the original bytes. Its submitter gets the reason as the outcome. KEY is
-- unique among all messages; TRACE is the traceback, where there is one.
local function make_dead_letter(key, entry, reason, report, trace)
  local about = cjson.encode({reason = reason, error = report, died_ms = now})
  redis.call('HSET', dead, key, about .. '\n' .. entry)
  redis.call('ZADD', dead_index, now, key)
  redis.call('HINCRBY', totals, 'dead', 1)
  if reason ~= 'shutdown' then
    local headers = is_entry(entry) and headers_of_entry(entry) or {}
    for _, word in ipairs({key, headers.id or '', headers.type or '', reason, report}) do died[#died + 1] = tostring(word) end
  end
  if is_asked(entry) then
    answer(key, entry, '!' .. cjson.encode({reason = reason, error = report, traceback = trace or ''}))
  end
end
