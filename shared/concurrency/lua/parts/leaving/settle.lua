-- Settles deliveries of a session. Each function returns the receipts that it refused, joined: those that are not leased.
local acked, nacked = 0, 0

-- HELD is how many the caller believes to hold. If as many are leased, all receipts are there, and one call removes them.
local function settle_acks(receipts, held)
  if redis.call('HLEN', leased) == held then
    for first = 1, #receipts, 1000 do
      acked = acked + redis.call('HDEL', leased, unpack(receipts, first, math.min(first + 999, #receipts)))
    end
    return ''
  end
  local missing = {}
  for _, receipt in ipairs(receipts) do
    local removed = redis.call('HDEL', leased, receipt)
    acked = acked + removed
    if removed == 0 then missing[#missing + 1] = receipt end
  end
  return table.concat(missing)
end

-- VALUE is the delay in ms, the reason of a dead letter or the outcome.
local function settle_other(max_attempts, receipt, kind, value, report, attempts, headers, trace)
  local entry = redis.call('HGET', leased, receipt)
  if not entry then return receipt end
  if kind == 'result' then
    answer(key_of(entry), entry, value)
    acked = acked + redis.call('HDEL', leased, receipt)
    return ''
  end
  local failure = kind == 'dead' and 0 or 1
  nacked = nacked + failure
  entry = counted(with_headers(entry, headers), 0, failure)
  if kind == 'dead' then
    make_dead_letter(key_of(entry), entry, value, report, trace)
  elseif tonumber(string.sub(entry, 46, 48)) >= (tonumber(attempts) or max_attempts) then
    make_dead_letter(key_of(entry), entry, kind == 'crash' and 'crashed' or 'failed', report, trace)
  elseif tonumber(value) > 0 then
    redis.call('ZADD', delayed, now + value, entry)
  elseif crashes_of(entry) >= 2 then
    redis.call('RPUSH', suspects, entry)
  else
    redis.call('RPUSH', returned, entry)
  end
  redis.call('HDEL', leased, receipt)
  return ''
end
