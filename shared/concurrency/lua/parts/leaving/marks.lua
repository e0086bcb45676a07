-- Marks of messages that nobody wants any more: the key of the message -> when, in ms. A whole number: its submitter cancelled the
-- future, and whoever has the message in hands goes on. With a half behind: `cancel` was called for it, and it never begins again; with
-- a quarter: both. The script that ends a message takes its mark off.
local MARK_MS, MOST_ENDED = 691200000, 500
local CANCELLED = '!{"reason":"cancelled","error":"somebody cancelled it","traceback":""}'
local answer = nil

-- What there is to do with marks; nil while there are none. That costs one look: functions that are made and not used would cost more.
local marked = nil
if redis.call('ZCARD', marks) > 0 then
  local these = {}
  marked = these

  function these.is_given_up(mark) return tonumber(mark) % 1 == 0 end
  function these.is_wanted(mark) return tonumber(mark) % 1 == 0.5 end
  function these.prune() redis.call('ZREMRANGEBYSCORE', marks, '-inf', string.format('%.0f', now - MARK_MS)) end

  -- The marks of some entries, or of receipts, in their order.
  function these.of(entries)
    local keys = {}
    for i, entry in ipairs(entries) do keys[i] = string.sub(entry, 17, 38) end
    return redis.call('ZMSCORE', marks, unpack(keys))
  end

  -- Notifies those who wait to know what becomes of a message: they look at the lanes then, where it stands under KEY:cancel:
  -- `NOW WHAT OWNERS`; WHAT is `-` until it is known.
  local function tell(record, key, what)
    local owners = string.match(record, '^%d+ %S+ (.*)$')
    redis.call('HSET', lanes, key .. ':cancel', string.format('%.0f', now) .. ' ' .. what .. ' ' .. owners)
    for owner in string.gmatch(owners, '%S+') do notify(owner, 'done', key .. ' ' .. what) end
  end

  -- Takes the mark of a message off that ends here, as WHAT: removed, stopped or finished. Returns the mark.
  function these.take_off(key, what)
    local mark = redis.call('ZSCORE', marks, key)
    if not mark then return nil end
    redis.call('ZREM', marks, key)
    local record = redis.call('HGET', lanes, key .. ':cancel')
    if record then tell(record, key, what) end
    return mark
  end

  -- Ends a message as removed if `cancel` was called for it; whether it was.
  function these.drop(entry)
    local mark = redis.call('ZSCORE', marks, string.sub(entry, 17, 38))
    if not mark or these.is_given_up(mark) then return false end
    these.end_as(entry, 'removed')
    return true
  end

  -- Ends a message that was cancelled, as WHAT: removed, for it never begins again, or stopped in somebody's hands. It is no dead
  -- letter: it is counted, and answered. Whoever calls this removes the entry.
  function these.end_as(entry, what)
    local key, outcome = key_of(entry), CANCELLED
    local mark = redis.call('ZSCORE', marks, key)
    local is_given_up = mark and these.is_given_up(mark)
    if is_given_up then
      outcome = '!{"reason":"cancelled","error":"its submitter cancelled it","traceback":""}'
      -- The id names no message any more; whoever else submitted it gets an answer.
      local id = is_asked_by_id(entry) and headers_of_entry(entry).id
      local known = id and redis.call('HGET', ids, id)
      if known and string.match(known, '(%S+)$') == key then
        redis.call('HDEL', ids, id)
        redis.call('ZREM', ids_due, id)
      end
    else
      these.end_id(entry)
    end
    if is_asked(entry) and not (is_given_up and not is_asked_by_id(entry)) then
      answer(key, entry, outcome, what)
    else
      these.take_off(key, what)
    end
    redis.call('HINCRBY', totals, 'cancelled', 1)
    -- FLOW
    if order.last_of then order.last_of(entry) end
    order.finished({entry})
    -- END
  end

  -- Has the id of a message say that it was cancelled, and has ended. It stays known: a put that is repeated must not bring it back.
  function these.end_id(entry)
    local id = headers_of_entry(entry).id
    local known = id and redis.call('HGET', ids, id)
    if known and string.match(known, '^%d+ %S+ %-?(%S+)$') == key_of(entry) then redis.call('HSET', ids, id, known .. ' !') end
  end

  -- Receipts of deliveries that are done with, of those leased in a hash: an acknowledgement on its way wins over `cancel`. In bulk,
  -- for a call may bring thousands.
  function these.finish(receipts, hash)
    for first = 1, #receipts, 1000 do
      local slice, found = {unpack(receipts, first, math.min(first + 999, #receipts))}, {}
      for i, mark in ipairs(these.of(slice)) do
        if mark then found[#found + 1] = slice[i] end
      end
      local entries = #found > 0 and redis.call('HMGET', hash, unpack(found)) or {}
      local keys, fields, named, whose = {}, {}, {}, {}
      for _, entry in ipairs(entries) do
        if entry then
          keys[#keys + 1] = key_of(entry)
          fields[#fields + 1] = key_of(entry) .. ':cancel'
          -- Decoding all of them would take most of the time.
          local id = string.match(headers_in(entry), '"id":"([^"\\]*)"') or headers_of_entry(entry).id
          if id then named[#named + 1], whose[#whose + 1] = id, key_of(entry) end
        end
      end
      if #keys > 0 then
        redis.call('ZREM', marks, unpack(keys))
        for i, record in ipairs(redis.call('HMGET', lanes, unpack(fields))) do
          if record then tell(record, keys[i], 'finished') end
        end
      end
      local known, ended = #named > 0 and redis.call('HMGET', ids, unpack(named)) or {}, {}
      for i, record in ipairs(known) do
        if record and string.match(record, '^%d+ %S+ %-?(%S+)$') == whose[i] then
          ended[#ended + 1] = named[i]
          ended[#ended + 1] = record .. ' !'
        end
      end
      if #ended > 0 then redis.call('HSET', ids, unpack(ended)) end
    end
  end

  -- Takes the marks off that no message has any more, for nothing of the queue is left: they were set for what had ended.
  function these.end_stray()
    local found = redis.call('ZRANGE', marks, 0, MOST_ENDED - 1, 'WITHSCORES')
    for i = 1, #found, 2 do
      -- What a submitter has given up may be on its way into the queue.
      if not these.is_given_up(found[i + 1]) then these.take_off(found[i], 'finished') end
    end
  end
end
