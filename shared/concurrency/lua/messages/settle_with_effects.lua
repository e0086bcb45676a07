#!lua
-- Acknowledges deliveries together with the writes that their handlers collected: each with all of them, or not at all.
-- Refused when memory is full (no allow-oom): nothing is written then, and all stay leased.
-- Behind the KEYS stand the first 14 of them again for each other queue that is put to, and the keys that are written to.
-- KEYS pending returned suspects delayed putters bodies handed sessions idle lanes ids ids_due settings totals leased
--   joiners results results_due given_up
-- ARGV
--   session  the caller's session
--   number   this call's number in its lane; a repetition carries the same
--   words    ... for each delivery its field and its number of writes, then for each write: command, place of its key among
--            KEYS (of a queue: of its first key), number of operands, the operands; 'result' with the outcome is one of them
-- RETURNS 'late'; or 'ok' or 'over' (the session; nothing was written), and for each delivery: 'ok' and the keys of puts in
--   line, 'stale', or 'refused', the number of the write that can not be made, and why
-- PARTS clock identity sessions room unfinished notify wake handoff ids stamp admit entry answer finish select_queue writes forward
local lane = owner_of(session) .. ':effects'
local before = redis.call('HGET', lanes, lane)
local function split(told)
  local verdicts = {}
  for verdict in string.gmatch(told, '[^,]+') do verdicts[#verdicts + 1] = verdict end
  return verdicts
end
if before then
  local last, told = string.match(before, '^%d+ (%d+) (.*)$')
  if tonumber(number) < tonumber(last) then return {'late'} end
  if number == last then return {'ok', split(told)} end
end
if not is_live(session) then return {'over', {}} end

local received = redis.call('HGET', handed, session)
local function holds(field)
  if redis.call('HEXISTS', leased, field) == 1 then return true end
  -- Handed over by a put, and done with before the next take.
  if received and string.sub(received, 1, 45) == field then
    redis.call('HSET', leased, field, received)
    redis.call('HDEL', handed, session)
    received = nil
    return true
  end
  return false
end

local at = 1
local function next_word()
  at = at + 1
  return words[at - 1]
end
local function next_writes()
  local writes = {}
  for i = 1, tonumber(next_word()) do
    local command, place, operands = next_word(), tonumber(next_word()), tonumber(next_word())
    writes[i] = {command = command, place = place, first = at, last = at + operands - 1}
    at = at + operands
  end
  return writes
end

local sound = {}
local function look_at_put(place)
  select_queue(place)
  if sound[place] == nil then sound[place] = is_sound() end
  local shut = sound[place] and redis.call('HGET', settings, 'shutdown')
  select_queue(1)
  return not sound[place] and 'unsound' or shut and 'shutdown' or nil
end
local function look(writes)
  left = {}
  for i, write in ipairs(writes) do
    local problem
    if write.command == 'put' then problem = look_at_put(write.place)
    elseif write.command ~= 'result' then problem = look_at(words, write.command, key_at(write.place), write.first, write.last) end
    if problem then return 'refused ' .. i .. ' ' .. problem end
  end
  return nil
end

local fresh = {}
local function apply(field, writes)
  local keys_in_line = ''
  for _, write in ipairs(writes) do
    if write.command == 'put' then
      select_queue(write.place)
      local entered, keys = put_onward(session, words, write.first, write.last)
      fresh[write.place] = (fresh[write.place] or 0) + entered
      keys_in_line = keys_in_line .. keys
      select_queue(1)
    elseif write.command == 'result' then
      local entry = redis.call('HGET', leased, field)
      answer(string.sub(entry, 17, 38), entry, words[write.first])
    else
      make(words, write.command, key_at(write.place), write.first, write.last)
    end
  end
  return keys_in_line
end

local verdicts, acked = {}, 0
while at <= #words do
  local field = next_word()
  local writes = next_writes()
  local verdict = not holds(field) and 'stale' or look(writes)
  if not verdict then
    verdict = 'ok ' .. apply(field, writes)
    redis.call('HDEL', leased, field)
    acked = acked + 1
  end
  verdicts[#verdicts + 1] = verdict
end
redis.call('HSET', lanes, lane, string.format('%.0f', now) .. ' ' .. number .. ' ' .. table.concat(verdicts, ','))
if acked > 0 then redis.call('HINCRBY', totals, 'acked', acked) end
for place, entered in pairs(fresh) do
  select_queue(place)
  if entered > 0 then wake_one() end
end
select_queue(1)
local stored = redis.call('HMGET', settings, 'shutdown', 'joining')
notify_if_finished(stored[1], stored[2])
return {'ok', verdicts}
