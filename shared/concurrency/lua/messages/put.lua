#!lua
-- Puts messages: into pending while there is room (one alone: to a session that waits), else into the line of waiting
-- puts. Also withdraws entries from
-- the line, and tells how the caller's entries in line fare. Refused when memory is full (no allow-oom).
-- KEYS pending returned suspects delayed putters bodies handed sessions idle lanes ids ids_due settings totals
-- ARGV
--   session    the caller's session
--   number     this call's number in its lane; a repetition carries the same
--   may_wait   1: entries that find no room join the line; 0: they are refused
--   with_ids   1 when an entry carries a caller's id
--   again      1 when the entries may be in line or admitted already
--   heard      conflicts of ids that the caller has been told of
--   withdrawn  keys (22 bytes each) to take out of the line
--   entries    ... the entries, without their stamp
-- RETURNS 'late', or: 'ok', now in ms, verdicts as (letter, count) pairs, first those on the withdrawn: w taken out of the
--   line, x not there any more; a admitted, k nothing added for its id is known, c conflict of ids, q queued, f no room, o the session is over; last sequence let in from the line, conflicts in line, 1 if shut down, 1 if live
-- PARTS clock identity sessions room notify wake handoff ids stamp admit
local owner = owner_of(session)
local record = redis.call('HGET', lanes, owner .. ':put')
local bound, shut, paused = unpack(redis.call('HMGET', settings, 'maxsize', 'shutdown', 'paused'))
local live = is_live(session)
local function answer(verdicts)
  local last, conflicts = putter_record(owner)
  local list = {}
  for letter, count in string.gmatch(verdicts, '(%a)(%d+)') do
    list[#list + 1] = letter
    list[#list + 1] = tonumber(count)
  end
  return {'ok', now, list, last, conflicts, shut and 1 or 0, live and 1 or 0}
end
if record then
  local before, verdicts = string.match(record, '^%d+ (%d+) ?(.*)$')
  if tonumber(number) < tonumber(before) then return {'late'} end
  if number == before then return answer(verdicts) end
end

local maxsize = tonumber(bound or 0)
local free = room(maxsize)
if heard ~= '' then
  local last, conflicts = putter_record(owner)
  if string.sub(conflicts, 1, #heard) == heard then
    local rest = string.match(string.sub(conflicts, #heard + 1), '^ ?(.*)$')
    redis.call('HSET', lanes, owner .. ':line', string.format('%.0f', now) .. ' ' .. last .. ' ' .. rest)
  end
end
local verdicts = {}
local function verdict(letter, count)
  if count > 0 then verdicts[#verdicts + 1] = letter .. string.format('%d', count) end
end
for at = 1, #withdrawn, 22 do
  local key = string.sub(withdrawn, at, at + 21)
  local there = redis.call('HDEL', bodies, key) == 1
  if there then redis.call('LREM', putters, 1, key) end
  verdict(there and 'w' or 'x', 1)
end
local queue_length = redis.call('LLEN', putters)
local admitted = 0
if queue_length > 0 then
  admitted = admit(free)
  queue_length = redis.call('LLEN', putters)
  free = queue_length > 0 and 0 or room(maxsize)
end

-- Lets entries[first..last] in; the caller has seen to it that there is room.
local handed_over = 0
local waits = #entries == 1 and not paused and who_waits()
local function enter(first, last)
  if #entries == 1 and first == last then
    local entry = next_stamp() .. entries[1]
    if waits and hand_off(waits, entry) then handed_over = 1 else redis.call('RPUSH', pending, entry) end
    return
  end
  for from = first, last, 1000 do
    local batch, mark = {}, next_stamp()
    for i = from, math.min(from + 999, last) do batch[#batch + 1] = mark .. entries[i] end
    redis.call('RPUSH', pending, unpack(batch))
  end
end
-- Has entries[first..last] wait in the line.
local function park(first, last)
  for from = first, last, 1000 do
    local keys, places = {}, {}
    for i = from, math.min(from + 999, last) do
      local key = string.sub(entries[i], 1, 22)
      keys[#keys + 1] = key
      places[#places + 1] = key
      places[#places + 1] = session .. ' ' .. entries[i]
    end
    redis.call('HSET', bodies, unpack(places))
    redis.call('RPUSH', putters, unpack(keys))
  end
end
local overflow = may_wait ~= '1' and 'f' or live and 'q' or 'o'
local entered = 0
if shut then
  verdict('f', #entries)
elseif with_ids == '1' or again == '1' then
  local last = putter_record(owner)
  for i, outgoing in ipairs(entries) do
    local key = string.sub(outgoing, 1, 22)
    if again == '1' and tonumber(string.sub(key, 13)) <= last then
      verdict('a', 1)
    elseif again == '1' and redis.call('HEXISTS', bodies, key) == 1 then
      if live then redis.call('HSET', bodies, key, session .. ' ' .. outgoing) end
      verdict(live and 'q' or 'o', 1)
    elseif free > 0 or (has_id(outgoing) and look_up_id(headers_of(outgoing)) ~= 'new') then
      local headers = has_id(outgoing) and headers_of(outgoing)
      local met = headers and look_up_id(headers) or 'new'
      if met == 'new' then
        enter(i, i)
        if headers then record_id(outgoing, headers) end
        entered, free = entered + 1, free - 1
      end
      verdict(met == 'conflict' and 'c' or met == 'known' and 'k' or 'a', 1)
    else
      if overflow == 'q' then park(i, i) end
      verdict(overflow, 1)
    end
  end
else
  entered = math.min(free, #entries)
  enter(1, entered)
  verdict('a', entered)
  if overflow == 'q' then park(entered + 1, #entries) end
  verdict(overflow, #entries - entered)
end
count_put(entered)
local told = table.concat(verdicts)
redis.call('HSET', lanes, owner .. ':put', string.format('%.0f', now) .. ' ' .. number .. ' ' .. told)
if admitted + entered > handed_over and not paused then wake_one() end
return answer(told)
