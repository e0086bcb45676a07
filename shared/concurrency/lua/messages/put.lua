#!lua
-- Puts messages: into pending while there is room (one alone: to a session that waits for a handoff), else behind the puts
-- that wait. Also withdraws waiting puts, and reports how far the caller's have got. Refused when memory is full (no allow-oom).
-- KEYS pending returned suspects delayed putters bodies handed sessions idle lanes ids ids_due settings totals
-- ARGV
--   session    the caller's session
--   number     this call's number in its lane; a repetition carries the same
--   may_wait   1: entries that find no room wait; 0: they are refused
--   with_ids   1 when an entry carries a caller's id
--   again      1 when the entries may wait or be admitted already
--   heard      what the caller has received of keys that waited and were not admitted
--   withdrawn  keys (22 bytes each) of waiting puts to take out
--   entries    ... the entries, without their stamp
-- RETURNS 'late'; 'flow' and the queue's level: nothing has changed, see the part `level`; or 'ok', now in ms, verdicts as (letter, count) pairs, the last sequence admitted from the waiting puts,
--   keys among these that were not: its id was known with another body, behind `=` with the same, behind `-` a shutdown
--   took it out; 1 if shut down, 1 if live. Verdicts, first those on the withdrawn: w taken out, x not there any more; a
--   admitted, k nothing added for its id is known, c conflict of ids, q waits, f no room, s shut down, o the session is over
-- PARTS clock identity level sessions room notify wake handoff ids stamp putter_record line take_out unfold refuse_waiting admit verdicts
--   enter park
local owner = owner_of(session)
local record = redis.call('HGET', lanes, owner .. ':put')
local bound, shut, paused, level = unpack(redis.call('HMGET', settings, 'maxsize', 'shutdown', 'paused', 'flow'))
local live = is_live(session)
local function answer(recorded)
  local last, refused = putter_record(owner)
  return {'ok', now, pairs_of(recorded), last, refused, shut and 1 or 0, live and 1 or 0}
end
if record then
  local before, recorded = string.match(record, '^%d+ (%d+) ?(.*)$')
  if tonumber(number) < tonumber(before) then return {'late'} end
  if number == before then return answer(recorded) end
end
local newer = level and tonumber(level) > KNOWN_LEVEL
if newer and (KNOWN_LEVEL == 0 or #entries > 0) then return {'flow', tonumber(level)} end
-- FLOW
-- Older data lack it, or somebody has deleted the queue: what is put needs it all the same.
if not level and #entries > 0 then redis.call('HSET', settings, 'flow', KNOWN_LEVEL) end
-- END

local maxsize = tonumber(bound or 0)
local free = room(maxsize)
forget_refused(owner, heard)
if withdrawn ~= '' then
  for _, waited in ipairs(take_out(withdrawn)) do verdict(waited and 'w' or 'x', 1) end
end
-- Whoever shut the queue down may have died on the way.
if shut and not newer then refuse_waiting(1000) end
local in_line = newer and 0 or redis.call('LLEN', putters)
local admitted = 0
if in_line > 0 then
  admitted = admit(free, shut)
  in_line = redis.call('LLEN', putters)
  free = in_line > 0 and 0 or room(maxsize)
end

local getter = #entries == 1 and not paused and may_be_handed(entries[1]) and who_waits()
-- Entries of this process may have been taken out of the line with its session: nothing goes in before them.
if not live then free = 0 end
local overflow = not live and 'o' or may_wait == '1' and 'q' or 'f'
local entered = 0

-- What becomes of an entry that may have been put before, or whose id may be known.
local function put_one(i, outgoing, last, refused)
  local key = string.sub(outgoing, 1, 22)
  -- It waited, and the answer says what became of it.
  if again == '1' and string.find(refused, key, 1, true) then return 'q' end
  if again == '1' and tonumber(string.sub(key, 13)) <= last then return 'a' end
  if shut then return 's' end
  local body = again == '1' and redis.call('HGET', bodies, key)
  if body then
    local _, mark = string.match(body, WAITS)
    if live then redis.call('HSET', bodies, key, session .. mark .. ' ' .. outgoing) end
    return live and 'q' or 'o'
  end
  local headers = has_id(outgoing) and headers_of(outgoing)
  local met = headers and look_up_id(headers) or 'new'
  if met == 'conflict' then return 'c' end
  if met == 'known' then return 'k' end
  if free <= 0 then
    if overflow == 'q' then park(i, i) end
    return overflow
  end
  enter(i, i, getter)
  if headers then record_id(outgoing, headers) end
  entered, free = entered + 1, free - 1
  return 'a'
end

if shut and again ~= '1' then
  verdict('s', #entries)
elseif with_ids == '1' or again == '1' then
  local last, refused = putter_record(owner)
  for i, outgoing in ipairs(entries) do verdict(put_one(i, outgoing, last, refused), 1) end
else
  entered = math.min(free, #entries)
  enter(1, entered, getter)
  verdict('a', entered)
  if overflow == 'q' then park(entered + 1, #entries) end
  verdict(overflow, #entries - entered)
end
count_put(entered)
local recorded = table.concat(verdicts)
redis.call('HSET', lanes, owner .. ':put', string.format('%.0f', now) .. ' ' .. number .. ' ' .. recorded)
if admitted + entered > handed_over and not paused then wake_one() end
return answer(recorded)
