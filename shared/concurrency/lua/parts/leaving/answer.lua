-- Answers to those who submitted a message: to one, or to many at once. In a block, for a script has no more than 200 locals.
local answer_all = nil
do
  local RESULTS_MS = 3600000
  local MOST_TOLD = 65536

  -- Sends outcomes to their submitters, many at once: each behind its key and its length; of one over 64 KiB only the key. FIELDS:
  -- keys, each with its outcome behind it.
  local function tell_submitters(fields)
    local owners, told = {}, {}
    local function tell(owner)
      notify(owner, 'results', table.concat(told[owner]))
      told[owner] = {bytes = 0}
    end
    for i = 1, #fields, 2 do
      local key, outcome, owner = fields[i], fields[i + 1], owner_of(fields[i])
      if not told[owner] then
        owners[#owners + 1], told[owner] = owner, {bytes = 0}
      end
      local words, sent = told[owner], #outcome <= MOST_TOLD and outcome or ''
      words[#words + 1] = key .. string.format('%05d', #sent) .. sent
      words.bytes = words.bytes + #sent
      if words.bytes >= MOST_TOLD then tell(owner) end
    end
    for _, owner in ipairs(owners) do
      if #told[owner] > 0 then tell(owner) end
    end
  end

  -- Keeps outcomes ('=' and the result as JSON, or '!' and what went wrong) until they are received or expire, and sends them to
  -- the submitters. Under an id one is kept as long as the id is known, for later submitters. WHAT: as what the messages end for
  -- those who have cancelled them; nil where they are finished.
  answer_all = function(keys, entries, outcomes, what)
    local fields, due, these, latest, count = {}, {}, marked, now, 0
    local usual = now + RESULTS_MS
    local usual_text = string.format('%.0f', usual)
    for i, key in ipairs(keys) do
      local entry, is_by_id = entries[i], is_asked_by_id(entries[i])
      -- Most have a header of their class alone, and decoding it would take longer than all else here.
      local is_needed = is_by_id or string.find(headers_in(entry), '"results_ms"', 1, true)
      local headers = is_needed and headers_of_entry(entry)
      local id = is_by_id and headers.id
      -- Its submitter gave it up after it had been taken: nobody waits for the outcome.
      local mark = these and these.take_off(key, what or 'finished')
      if not mark or these.is_wanted(mark) or id then
        local expiry = headers and headers.results_ms and now + headers.results_ms or usual
        if id then
          local known = redis.call('HGET', ids, id)
          expiry = math.max(expiry, tonumber(string.match(known or '', '^%d+') or 0))
          -- How far its handler was.
          if redis.call('HDEL', results, key .. '~') == 1 then redis.call('ZREM', results_due, key .. '~') end
        end
        fields[count + 1], fields[count + 2] = key, outcomes[i]
        due[count + 1], due[count + 2] = expiry == usual and usual_text or string.format('%.0f', expiry), key
        count, latest = count + 2, math.max(latest, expiry)
      end
    end
    if count == 0 then return end
    for first = 1, #fields, 1000 do
      local last = math.min(first + 999, #fields)
      redis.call('HSET', results, unpack(fields, first, last))
      redis.call('ZADD', results_due, unpack(due, first, last))
    end
    local old = redis.call('ZRANGEBYSCORE', results_due, '-inf', string.format('%.0f', now), 'LIMIT', 0, math.min(1000, 10 * #keys))
    if #old > 0 then
      redis.call('HDEL', results, unpack(old))
      redis.call('ZREM', results_due, unpack(old))
    end
    -- No call prunes a queue that nobody uses any more.
    if redis.call('PTTL', results) < latest - now then
      for _, word in ipairs({results, results_due}) do redis.call('PEXPIRE', word, string.format('%.0f', latest - now + 60000)) end
    end
    tell_submitters(fields)
  end

  answer = function(key, entry, outcome, what) answer_all({key}, {entry}, {outcome}, what) end
end
