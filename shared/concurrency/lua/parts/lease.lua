-- What the scripts of a lease share: what has expired goes, then whoever may enters, in the order of the policy.
-- In the record, a hold's own field is `MODE TOKEN SINCE WHO`, since in ms, who as `PID HOST TASK`; of one that had to wait WHO is in
-- the field ID:who. The modes are r (reads), w (writes) and p (has a permit).
-- A name is forgotten a week after its last use, and its last token with it.
local REST_MS = 7 * 24 * 3600 * 1000
local DAY_MS = 24 * 3600 * 1000
-- A waiter asks again after so long, or a third of its time to live.
local LOOK_MS = 1000
-- For how long a call may be under way on a connection that was dropped.
local DOUBT_MS = 600 * 1000
local stored = redis.call(
  'HMGET', record, 'token', 'kind', 'phase', 'longest_ttl', 'quiet_until', 'run_id', 'clock', 'name', 'resized'
)
local last_token, kind, phase = tonumber(stored[1] or 0), stored[2], stored[3]
local longest_ttl, quiet_until = tonumber(stored[4] or 0), tonumber(stored[5] or 0)
local clock = tonumber(stored[7] or 0)

local function number(value) return string.format('%.0f', value) end

-- A server that came back may have forgotten its last grants: it grants nothing until they have expired, and renews.
local function notice_restart(run_id)
  if stored[6] == run_id then return end
  if stored[6] then
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

local function let_rest()
  if redis.call('EXISTS', holders, waiting) > 0 then
    for _, key in ipairs({holders, waiting, line, readers}) do redis.call('PEXPIRE', key, REST_MS) end
  end
  -- A limit that somebody has set by hand is not forgotten.
  if stored[9] and limit_of(kind) then
    redis.call('PERSIST', record)
  else
    redis.call('PEXPIRE', record, REST_MS)
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
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', holders, '-inf', '(' .. number(now))) do forget_holder(id) end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', waiting, '-inf', '(' .. number(now))) do forget_waiter(id) end
  for _, key in ipairs({holders, waiting}) do
    local far = redis.call('ZRANGEBYSCORE', key, was_set_back and '-inf' or '(' .. number(longest), '+inf')
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
  redis.call('ZADD', holders, number(now + ttl), id)
  return token
end

-- Whether a waiting writer keeps new readers from entering beside those that read.
local function closed_to_readers() return kind ~= 'readers' and redis.call('ZCARD', line) > 0 end

-- Grants a waiter its hold. One whose process receives nothing is passed over and keeps its place. CALLER gets an answer instead
-- of a notification.
local function admit(id, mode, caller)
  local token = number(math.max(last_token + 1, now_us))
  if id ~= caller then
    local deadline, closed = number(now + time_to_live(id)), closed_to_readers() and '1' or '0'
    if notify(id, 'granted', id .. ' ' .. token .. ' ' .. deadline .. ' ' .. closed) == 0 then return false end
  end
  forget_waiter(id, true)
  hold(id, mode)
  return true
end

local function admit_readers(caller)
  local entered = 0
  for _, id in ipairs(redis.call('ZRANGE', readers, 0, -1)) do
    if admit(id, 'r', caller) then entered = entered + 1 end
  end
  return entered
end

-- Grants the first that wait for a permit or to write, ROOM of them at most.
local function admit_first(mode, room, caller)
  local entered, passed_over = 0, 0
  while entered < room do
    local ids = redis.call('ZRANGE', line, passed_over, passed_over + 9)
    if #ids == 0 then break end
    for _, id in ipairs(ids) do
      if entered >= room then break end
      if admit(id, mode, caller) then entered = entered + 1 else passed_over = passed_over + 1 end
    end
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
    if not writer_holds() and not closed_to_readers() then admit_readers(caller) end
    return
  end
  -- Phase-fair (Brandenburg and Anderson, 2009): after a writer all readers that wait, then the next writer.
  local readers_first = kind == 'readers' or kind == 'fair' and phase == 'w'
  if readers_first and admit_readers(caller) > 0 then return end
  if admit_first('w', 1, caller) > 0 then return end
  if not readers_first then admit_readers(caller) end
end
