-- What died in this call, for the log of whoever made it: key, the caller's id, class, reason and error of each. A shutdown is
-- an operator's wish, and tells how many.
local died = {}

-- Makes a dead letter of an entry: reason, time and the original bytes. Its submitter gets the reason as the outcome. KEY is
-- unique among all messages; one that was cancelled is dropped; TRACE is the traceback, where there is one. Where `max_dead` is stored
-- the oldest ones go, ten at most for each that comes, and 2 MiB for a call; DISCARDED counts them.
local discarded, max_dead = 0, nil
local function make_dead_letter(key, entry, reason, report, trace)
  if marked and marked.drop(entry) then return end
  -- FLOW
  -- One that waits under a NAME is a dead letter with its newest body.
  if order.last_of then entry = order.last_of(entry) end
  -- END
  local headers = is_entry(entry) and headers_of_entry(entry) or {}
  local before = redis.call('HGET', dead, key)
  if before then letter_groups().uncount(before) end
  local group = letter_groups().count(reason, headers.type)
  local about = {reason = reason, error = report, died_ms = now, group = group == OTHERS and OTHERS or nil}
  redis.call('HSET', dead, key, cjson.encode(about) .. '\n' .. entry)
  redis.call('ZADD', dead_index, now, key)
  redis.call('HINCRBY', totals, 'dead', 1)
  -- FLOW
  order.finished({entry})
  -- END
  if reason ~= 'shutdown' then
    for _, word in ipairs({key, headers.id or '', headers.type or '', reason, report}) do died[#died + 1] = tostring(word) end
  end
  if is_asked(entry) then
    answer(key, entry, '!' .. cjson.encode({reason = reason, error = report, traceback = trace or ''}))
  end
  max_dead = max_dead or tonumber(redis.call('HGET', settings, 'max_dead') or 0)
  local beyond = max_dead > 0 and redis.call('ZCARD', dead_index) - max_dead or 0
  if beyond > 0 then
    local count = letter_groups().remove(redis.call('ZRANGE', dead_index, 0, math.min(beyond, 10) - 1))
    redis.call('HINCRBY', totals, 'discarded', count)
    discarded = discarded + count
  end
end
