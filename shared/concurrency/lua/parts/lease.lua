-- What the scripts of a lease share: what has expired goes, then whoever may enters, in the order of the policy.
-- In the record, a hold's own field is `MODE TOKEN SINCE WHO`, since in ms, who as `PID HOST TASK`; of one that had to wait WHO is in
-- the field ID:who. The modes are r (reads), w (writes) and p (has a permit).
-- A name at rest is forgotten after the longer of ten times to live and an hour, and its last token with it.
local SHORTEST_REST_MS = 3600 * 1000
local DAY_MS = 24 * 3600 * 1000
-- A waiter asks again after so long at the latest, or a third of its time to live; sooner while it has not waited for long.
local LOOK_MS = 5000
-- For how long a call may be under way on a connection that was dropped.
local DOUBT_MS = 600 * 1000
-- What one call does at most, a few milliseconds of the server: how many it grants a hold, how many that are silent it
-- notifies in vain, how many it goes along, and how many of each kind that have expired it takes out. The next call goes on.
local GRANTED, UNHEARD, PASSED, SWEPT = 100, 300, 2000, 500
local stored = redis.call('HMGET', record, 'token', 'kind', 'phase', 'longest_ttl', 'quiet_until', 'run_id', 'passed_over', 'entering',
  'clock', 'name', 'resized')
local last_token, kind, phase = tonumber(stored[1] or 0), stored[2], stored[3]
local longest_ttl, quiet_until = tonumber(stored[4] or 0), tonumber(stored[5] or 0)
-- Those in the line up to that ticket receive nothing.
local passed_over = stored[7]
-- Readers that may come in, though it takes several calls: behind which ticket to go on, and up to which.
local entering = stored[8]
local clock = tonumber(stored[9] or 0)

local function number(value) return string.format('%.0f', value) end

-- A server that came back may have forgotten its last grants: it grants nothing until they have expired, and renews.
-- Who does not know the run says `?`, and changes nothing; or once on each connection `unknown.` and a word: it may be another.
-- While a lease rests nothing is granted that could be forgotten: such a one does not make the rest longer.
local function notice_restart(run_id)
  if stored[6] and (stored[6] == run_id or string.byte(run_id) == 63) then return end
  local rests_already = quiet_until > now and string.sub(run_id, 1, 8) == 'unknown.'
  if stored[6] and not rests_already then
    quiet_until = now + longest_ttl
    redis.call('HSET', record, 'quiet_until', number(quiet_until), 'clock', number(now))
  end
  stored[6] = run_id
  redis.call('HSET', record, 'run_id', run_id)
end

-- How many permits a semaphore has; nil for other kinds.
local function limit_of(some_kind) return some_kind and tonumber(string.match(some_kind, '^limit (%d+)$')) end

-- Whether a name may be used as this kind as it is. A semaphore goes on with the limit that is stored.
local function is_kind(wanted) return kind == wanted or limit_of(kind) and limit_of(wanted) end

-- Has these keys kept for a name at rest. Each is kept again by whoever adds to it, and all of them by a renewal.
local function keep(...)
  local rest = math.max(SHORTEST_REST_MS, 10 * longest_ttl)
  for _, key in ipairs({...}) do
    -- A limit that somebody has set by hand is not forgotten.
    if key == record and stored[11] and limit_of(kind) then
      redis.call('PERSIST', key)
    else
      redis.call('PEXPIRE', key, rest)
    end
  end
end

-- A waiter that is granted its hold is the same as before.
local function forget_waiter(id, is_granted)
  if not is_granted then redis.call('HDEL', record, id .. ':who') end
  redis.call('ZREM', waiting, id)
  redis.call('ZREM', readers, id)
  redis.call('ZREM', line, id)
end

local function forget_holder(id)
  redis.call('ZREM', holders, id)
  redis.call('HDEL', record, id, id .. ':who')
end

-- The fields that say who they are.
local function who_of(ids)
  local fields = {}
  for i, id in ipairs(ids) do fields[i] = id .. ':who' end
  return fields
end

-- Whether there is more to grant than one call does: then whoever can calls again. Those who wait look again anyway.
local unfinished, swept_all = false, true

-- Takes out what has expired. `clock` is what the clock said when a deadline was written last. Where it says less now
-- it was set back: every deadline may be too far away, and of a rest there is left what was left then.
local function prune()
  local was_set_back, longest = clock > now, now + longest_ttl
  if was_set_back then
    quiet_until = math.max(0, quiet_until - (clock - now))
    clock = now
    redis.call('HSET', record, 'clock', number(now), 'quiet_until', number(quiet_until))
  end
  if quiet_until > longest then
    quiet_until = longest
    redis.call('HSET', record, 'quiet_until', number(quiet_until))
  end
  local before = '(' .. number(now)
  local gone = redis.call('ZRANGEBYSCORE', holders, '-inf', before, 'LIMIT', 0, SWEPT)
  if #gone > 0 then
    redis.call('ZREM', holders, unpack(gone))
    redis.call('HDEL', record, unpack(gone))
    redis.call('HDEL', record, unpack(who_of(gone)))
  end
  swept_all = #gone < SWEPT
  gone = redis.call('ZRANGEBYSCORE', waiting, '-inf', before, 'LIMIT', 0, SWEPT)
  if #gone > 0 then
    for _, key in ipairs({waiting, readers, line}) do redis.call('ZREM', key, unpack(gone)) end
    redis.call('HDEL', record, unpack(who_of(gone)))
  end
  swept_all = swept_all and #gone < SWEPT
  unfinished = not swept_all
  for _, key in ipairs({holders, waiting}) do
    local far
    if was_set_back then
      far = redis.call('ZRANGEBYSCORE', key, '-inf', '+inf')
    else
      far = redis.call('ZRANGEBYSCORE', key, '(' .. number(longest), '+inf', 'LIMIT', 0, SWEPT / 2)
    end
    -- No deadline is further away than its time to live.
    for first = 1, #far, 500 do
      local scores = {}
      for at = first, math.min(first + 499, #far) do
        scores[2 * (at - first) + 1] = now + time_to_live(far[at])
        scores[2 * (at - first) + 2] = far[at]
      end
      redis.call('ZADD', key, 'LT', unpack(scores))
    end
  end
end

-- The deadline of a hold that has not expired.
local function held_until(id)
  local deadline = tonumber(redis.call('ZSCORE', holders, id) or 0)
  return deadline >= now and deadline or nil
end

local function mode_and_token(id)
  local held = redis.call('HGET', record, id)
  if not held then return nil end
  return string.match(held, '^(%a) (%d+)')
end

-- Whoever writes a deadline notes when, to a quarter of a second, and the longest time to live of the last day: a server
-- that comes back may have forgotten whoever had it.
local function note_deadline(ttl)
  if ttl > longest_ttl or
    ttl < longest_ttl and now - tonumber(redis.call('HGET', record, 'longest_at') or 0) > DAY_MS then
    longest_ttl = ttl
    redis.call('HSET', record, 'longest_ttl', number(ttl), 'longest_at', number(now))
  end
  if now - clock < 250 then return end
  clock = now
  redis.call('HSET', record, 'clock', number(now))
  if ttl == longest_ttl then redis.call('HSET', record, 'longest_at', number(now)) end
end

-- Tokens grow with every grant: past the last one, and past the clock, should the server have lost its last second.
local function hold(id, mode, who)
  last_token = math.max(last_token + 1, now_us)
  local token, ttl = number(last_token), time_to_live(id)
  phase = mode
  note_deadline(ttl)
  redis.call('HSET', record, 'token', token, 'kind', kind, 'phase', mode,
    id, mode .. ' ' .. token .. ' ' .. number(now) .. ' ' .. (who or ''))
  -- Whoever looks once a second learns of the holds that came and went in between.
  redis.call('HINCRBY', record, 'granted_' .. mode, 1)
  redis.call('ZADD', holders, number(now + ttl), id)
  return token
end

-- Whether a waiting writer keeps new readers from entering beside those that read.
local function closed_to_readers() return kind ~= 'readers' and redis.call('ZCARD', line) > 0 end

local grants, unheard, passed = 0, 0, 0
local silent = {}

-- Whether this call has done its share.
local function is_spent() return grants >= GRANTED or unheard >= UNHEARD or passed >= PASSED end

-- Grants a waiter its hold. One whose process receives nothing is passed over and keeps its place. CALLER gets an answer instead
-- of a notification.
local function admit(id, mode, caller)
  passed = passed + 1
  local token = number(math.max(last_token + 1, now_us))
  if id ~= caller then
    local owner = owner_of(id)
    if silent[owner] then return false end
    if not swept_all and tonumber(redis.call('ZSCORE', waiting, id) or 0) < now then return false end
    local deadline, closed = number(now + time_to_live(id)), closed_to_readers() and '1' or '0'
    if notify(id, 'granted', id .. ' ' .. token .. ' ' .. deadline .. ' ' .. closed) == 0 then
      silent[owner], unheard = true, unheard + 1
      return false
    end
  end
  forget_waiter(id, true)
  hold(id, mode)
  grants = grants + 1
  return true
end

-- Lets in the readers that wait now. Where that is too much for one call, no writer and no later reader comes before the rest.
local function admit_readers(caller)
  local from, upto = string.match(entering or '', '^(%d+) (%d+)$')
  if not from then
    from, upto = '0', redis.call('ZRANGE', readers, -1, -1, 'WITHSCORES')[2]
    if not upto then return 0 end
  end
  local entered = 0
  while true do
    local ids = redis.call('ZRANGEBYSCORE', readers, '(' .. from, upto, 'WITHSCORES', 'LIMIT', 0, 50)
    if #ids == 0 then break end
    for i = 1, #ids, 2 do
      if is_spent() then
        unfinished, entering = true, from .. ' ' .. upto
        redis.call('HSET', record, 'entering', entering)
        return entered
      end
      if admit(ids[i], 'r', caller) then entered = entered + 1 end
      from = ids[i + 1]
    end
  end
  if entering then redis.call('HDEL', record, 'entering') end
  entering = false
  return entered
end

-- Grants the first that wait for a permit or to write, ROOM of them at most.
local function admit_first(mode, room, caller)
  local entered, last_silent = 0, nil
  local at = passed_over and redis.call('ZCOUNT', line, '-inf', passed_over) or 0
  while entered < room and not is_spent() do
    local ids = redis.call('ZRANGE', line, at, at + math.min(50, room - entered) - 1)
    if #ids == 0 then break end
    for _, id in ipairs(ids) do
      if is_spent() then break end
      if admit(id, mode, caller) then entered = entered + 1 else at, last_silent = at + 1, id end
    end
  end
  unfinished = unfinished or entered < room and is_spent()
  if last_silent then
    passed_over = redis.call('ZSCORE', line, last_silent)
    redis.call('HSET', record, 'passed_over', passed_over)
  end
  return entered
end

local function writer_holds()
  local first = redis.call('ZRANGE', holders, 0, 1)
  return #first == 1 and mode_and_token(first[1]) == 'w'
end

-- Lets in whoever may hold now.
local function advance(caller)
  if quiet_until > now then return end
  local limit = kind == 'lock' and 1 or limit_of(kind)
  local held = redis.call('ZCARD', holders)
  if limit then
    if held < limit then admit_first('p', limit - held, caller) end
    return
  end
  if held > 0 then
    if writer_holds() then return end
    if entering then admit_readers(caller) end
    if not entering and not closed_to_readers() then admit_readers(caller) end
    return
  end
  if entering and (admit_readers(caller) > 0 or is_spent()) then return end
  -- Phase-fair (Brandenburg and Anderson, 2009): after a writer all readers that wait, then the next writer.
  local readers_first = kind == 'readers' or kind == 'fair' and phase == 'w'
  if readers_first and (admit_readers(caller) > 0 or is_spent()) then return end
  if admit_first('w', 1, caller) > 0 or is_spent() then return end
  if not readers_first then admit_readers(caller) end
end
