-- Answers to those who submitted a message.
local RESULTS_MS = 3600000

-- Keeps an outcome ('=' and the result as JSON, or '!' and what went wrong) until it is received or expires, and sends it to
-- the submitter; of one over 64 KiB only the key. Under an id it is kept as long as the id is known, for later submitters.
-- WHAT: as what the message ends for those who have cancelled it; nil where it is finished.
answer = function(key, entry, outcome, what)
  local headers = string.sub(entry, 50, 52) ~= '000' and headers_of_entry(entry) or {}
  local id = is_asked_by_id(entry) and headers.id
  -- Its submitter gave it up after it had been taken: nobody waits for the outcome.
  local these = marked
  local mark = these and these.take_off(key, what or 'finished')
  if mark and not these.is_wanted(mark) and not id then return end
  local expiry = now + (tonumber(headers.results_ms) or RESULTS_MS)
  if id then
    local known = redis.call('HGET', ids, id)
    expiry = math.max(expiry, tonumber(string.match(known or '', '^%d+') or 0))
    -- How far its handler was.
    if redis.call('HDEL', results, key .. '~') == 1 then redis.call('ZREM', results_due, key .. '~') end
  end
  redis.call('HSET', results, key, outcome)
  redis.call('ZADD', results_due, string.format('%.0f', expiry), key)
  local old = redis.call('ZRANGEBYSCORE', results_due, '-inf', string.format('%.0f', now), 'LIMIT', 0, 10)
  if #old > 0 then
    redis.call('HDEL', results, unpack(old))
    redis.call('ZREM', results_due, unpack(old))
  end
  -- No call prunes a queue that nobody uses any more.
  if redis.call('PTTL', results) < expiry - now then
    for _, word in ipairs({results, results_due}) do redis.call('PEXPIRE', word, string.format('%.0f', expiry - now + 60000)) end
  end
  notify(key, 'result', #outcome <= 65536 and key .. outcome or key)
end
