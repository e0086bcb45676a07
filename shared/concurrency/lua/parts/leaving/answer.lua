-- Answers to those who submitted a message. FLAG, at 49 of an entry, says whether somebody did: '.' and 'i' (the headers hold
-- the caller's id) nobody, 'r' and 's' (and they hold it) yes; the first 12 bytes of the key say who.
local RESULTS_MS = 3600000

local function is_asked(entry)
  local flag = string.byte(entry, 49)
  return #entry >= 52 and (flag == 114 or flag == 115)
end

local function headers_of_entry(entry)
  local good, found = pcall(cjson.decode, string.sub(entry, 53, 52 + tonumber(string.sub(entry, 50, 52))))
  return good and type(found) == 'table' and found or {}
end

-- Keeps an outcome ('=' and the result as JSON, or '!' and what went wrong) until it has been heard or is too old, and tells
-- it; one of more than 64 KiB is only announced. Under an id it is kept as long as the id is known, for whoever submits that.
local function answer(key, entry, outcome)
  local headers = string.sub(entry, 50, 52) ~= '000' and headers_of_entry(entry) or {}
  local id = string.byte(entry, 49) == 115 and headers.id
  -- Whoever gave it up after it had been taken does not listen any more.
  if redis.call('ZREM', given_up, key) == 1 and not id then return end
  local expiry = now + (tonumber(headers.results_ms) or RESULTS_MS)
  if id then
    local known = redis.call('HGET', ids, id)
    expiry = math.max(expiry, tonumber(string.match(known or '', '^%d+') or 0))
  end
  redis.call('HSET', results, key, outcome)
  redis.call('ZADD', results_due, string.format('%.0f', expiry), key)
  local old = redis.call('ZRANGEBYSCORE', results_due, '-inf', string.format('%.0f', now), 'LIMIT', 0, 10)
  if #old > 0 then
    redis.call('HDEL', results, unpack(old))
    redis.call('ZREM', results_due, unpack(old))
  end
  -- Nobody prunes a queue that is used no more.
  if redis.call('PTTL', results) < expiry - now then
    for _, word in ipairs({results, results_due}) do redis.call('PEXPIRE', word, string.format('%.0f', expiry - now + 60000)) end
  end
  tell(key, 'result', #outcome <= 65536 and key .. outcome or key)
end

-- A message that its submitter gave up before anybody took it. Its id names no message any more; whoever submitted that too
-- is answered.
local function forget_submitted(key, entry)
  if string.byte(entry, 49) ~= 115 then return end
  local id = headers_of_entry(entry).id
  local known = id and redis.call('HGET', ids, id)
  if known and string.match(known, '(%S+)$') == key then
    redis.call('HDEL', ids, id)
    redis.call('ZREM', ids_due, id)
  end
  answer(key, entry, '!' .. cjson.encode({reason = 'given up', error = 'its submitter cancelled it', traceback = ''}))
end
