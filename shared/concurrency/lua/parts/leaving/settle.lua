-- Settles deliveries of a session. Each function returns the receipts that it refused, joined: those that are not leased.
local acked, nacked = 0, 0
-- What is delayed is due by a clock that never goes back; the soonest that was delayed here.
local steady_now, soonest = now, math.huge

local function delay_for(entry, delay)
  -- FLOW
  -- One that waits for its next attempt holds no place.
  order.give_up_places({entry})
  -- END
  soonest = math.min(soonest, steady_now + delay)
  redis.call('ZADD', delayed, steady_now + delay, entry)
end

-- HELD is how many the caller believes to hold. If as many are leased, all receipts are there, and one call removes them.
local function settle_acks(receipts, held)
  if #receipts == 0 then return '' end
  if marked then marked.finish(receipts, leased) end
  if redis.call('HLEN', leased) == held then
    for first = 1, #receipts, 1000 do
      -- FLOW
      order.finished(redis.call('HMGET', leased, unpack(receipts, first, math.min(first + 999, #receipts))))
      -- END
      acked = acked + redis.call('HDEL', leased, unpack(receipts, first, math.min(first + 999, #receipts)))
    end
    return ''
  end
  local missing = {}
  for _, receipt in ipairs(receipts) do
    -- FLOW
    order.finished({redis.call('HGET', leased, receipt)})
    -- END
    local removed = redis.call('HDEL', leased, receipt)
    acked = acked + removed
    if removed == 0 then missing[#missing + 1] = receipt end
  end
  return table.concat(missing)
end

-- Gives all of them back; who sends them sends no more than one call may move.
local function settle_returns(receipts)
  local missing, looked = '', 0
  while looked < #receipts do
    local count, gone = put_back(receipts, looked + 1)
    looked, missing = looked + count, missing .. gone
  end
  return missing
end

-- Settles OTHERS, three words to a result, seven to any other delivery. What it needs is made here, for most calls have none.
local function settle_others(max_attempts)
  -- The entry of a delivery that waits, for a precondition or for somebody who can read it, marked under WORD with the first time it
  -- did so; nil once that is WITHIN ms ago, or when its headers have no room for the mark. A mark older than the entry's stamp is of
  -- the time before a replay.
  local function kept_waiting(entry, within, word)
    local admitted, headers = math.floor(number_in(entry, 1, 16) / 1000), headers_in(entry)
    local since = tonumber(string.match(headers, '"' .. word .. '":(%d+)'))
    if since and since >= admitted then
      if steady_now - since >= within then return nil end
      return entry
    end
    local mark = '"' .. word .. '":' .. string.format('%.0f', math.max(steady_now, admitted))
    if since then
      headers = string.gsub(headers, '"' .. word .. '":%d+', mark)
    else
      headers = headers == '' and '{' .. mark .. '}' or string.sub(headers, 1, -2) .. ',' .. mark .. '}'
    end
    return #headers <= 999 and with_headers(entry, headers) or nil
  end

  -- The entry without the mark that nobody could read it: whoever settles it in another way has read it.
  local function read_now(entry)
    local headers = headers_in(entry)
    if not string.find(headers, '"unread_ms":', 1, true) then return entry end
    headers = string.gsub(string.gsub(headers, ',?"unread_ms":%d+', ''), '^{,', '{')
    return replace_headers(entry, headers == '{}' and '' or headers)
  end

  -- Whether those behind it in its key go before it, where there are some.
  local function lets_pass(entry, delay)
    -- FLOW
    do return order.let_pass(entry, string.format('%.0f', delay)) end
    -- END
    return false
  end

  -- Acknowledges those whose result is asked for: a call brings many of them, so each command is one for all.
  local function settle_results(receipts, outcomes, first, last)
    local keys, entries, said, found, is_found, missing = {}, {}, {}, {}, {}, {}
    for i, entry in ipairs(redis.call('HMGET', leased, unpack(receipts, first, last))) do
      local receipt = receipts[first + i - 1]
      if entry and not is_found[receipt] then
        is_found[receipt] = true
        keys[#keys + 1], entries[#entries + 1], said[#said + 1], found[#found + 1] = key_of(entry), entry, outcomes[first + i - 1], receipt
      else
        missing[#missing + 1] = receipt
      end
    end
    if #found > 0 then
      answer_all(keys, entries, said)
      -- FLOW
      order.finished(entries)
      -- END
      acked = acked + redis.call('HDEL', leased, unpack(found))
    end
    return table.concat(missing)
  end

  -- VALUE is the delay in ms, or the reason of a dead letter; of a wait the delay and, behind a space, for how long
  -- in all it is no failure; of `later` likewise, and the reason of the dead letter that it is then.
  local function settle_other(receipt, kind, value, report, attempts, headers, trace)
    local entry = redis.call('HGET', leased, receipt)
    if not entry then return receipt end
    if kind == 'cancelled' and marked then
      marked.end_as(entry, 'stopped')
    elseif kind == 'cancelled' then
      -- Its mark is lost, or too old.
      redis.call('HINCRBY', totals, 'cancelled', 1)
      if is_asked(entry) then answer(key_of(entry), entry, CANCELLED) end
      -- FLOW
      order.finished({entry})
      -- END
    end
    if kind == 'cancelled' or marked and marked.drop(entry) then
      redis.call('HDEL', leased, receipt)
      return ''
    end
    if kind == 'lost' then return select(2, put_back({receipt}, 1, redis.call('HGET', settings, 'max_crashes') or 5)) end
    if kind == 'wait' or kind == 'later' then
      local delay, within, reason = string.match(value, '^(%d+) (%d+) ?(.*)$')
      local waiting = kept_waiting(kind == 'wait' and read_now(entry) or entry, tonumber(within), kind == 'wait' and 'waiting_since' or 'unread_ms')
      if waiting then
        delay_for(counted(waiting, 0, 0), tonumber(delay))
        redis.call('HDEL', leased, receipt)
        return ''
      end
      value = delay
      if kind == 'later' then kind, value = 'dead', reason end
    end
    local failure = kind == 'dead' and 0 or 1
    nacked = nacked + failure
    entry = counted(read_now(with_headers(entry, headers)), 0, failure)
    if kind == 'dead' then
      make_dead_letter(key_of(entry), entry, value, report, trace)
    elseif failures_of(entry) >= (tonumber(attempts) or max_attempts) then
      make_dead_letter(key_of(entry), entry, kind == 'crash' and 'crashed' or 'failed', report, trace)
    elseif kind == 'pass' and lets_pass(entry, tonumber(value)) then
      -- It stands behind the last of its key now.
    elseif tonumber(value) > 0 then
      delay_for(entry, tonumber(value))
      -- FLOW
    elseif #order.back_to_gates({entry}) == 0 then
      -- It goes on from its gate.
      -- END
    elseif crashes_of(entry) >= 2 then
      redis.call('RPUSH', suspects, entry)
    -- FLOW
    elseif not order.come_back({entry})[1] then
      -- It pays with its own share.
    -- END
    else
      redis.call('RPUSH', returned, entry)
    end
    redis.call('HDEL', leased, receipt)
    return ''
  end

  local missing, receipts, outcomes = {}, {}, {}
  local i = 1
  while i <= #others do
    if others[i + 1] == 'result' then
      receipts[#receipts + 1], outcomes[#outcomes + 1] = others[i], others[i + 2]
      i = i + 3
    else
      missing[#missing + 1] = settle_other(unpack(others, i, i + 6))
      i = i + 7
    end
  end
  for first = 1, #receipts, 1000 do missing[#missing + 1] = settle_results(receipts, outcomes, first, math.min(first + 999, #receipts)) end
  return table.concat(missing)
end
