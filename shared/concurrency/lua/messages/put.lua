#!lua
-- Puts messages: into pending while there is room (one alone: to a session that waits for a handoff), else behind the puts
-- that wait. Also withdraws waiting puts, and reports how far the caller's have got. Refused when memory is full (no allow-oom).
-- KEYS pending returned suspects delayed putters bodies handed sessions idle lanes ids ids_due settings totals
-- FLOW
--   tails behind passed released line_own let_in flow tags ready line_fair gated running opens
--   once
-- END
-- ARGV
--   session    the caller's session
--   number     this call's number in its lane; a repetition carries the same
--   may_wait   1: entries that find no room wait; 0: they are refused
--   with_ids   1 when an entry carries a caller's id, or a name of which one is to wait
--   again      1 when the entries may wait or be admitted already
--   heard      what the caller has received of keys that waited and were not admitted
--   confirmed  keys (22 bytes each) of puts that the caller knows to be let in by their keys
--   withdrawn  keys (22 bytes each) of waiting puts to take out
--   entries    ... the entries, without their stamp
-- RETURNS 'late'; 'flow' and the queue's level: nothing has changed, see the part `level`; or 'ok', now in ms, verdicts as (letter, count) pairs, the last sequence admitted from the waiting puts,
--   keys among these that were not: its id was known with another body, behind `=` with the same, behind `-` a shutdown
--   took it out; 1 if shut down, 1 if live. Verdicts, first those on the withdrawn: w taken out, x not there any more; a
--   admitted, k nothing added for its id is known, or one of its name waits, r one of its name waits and has it instead, c conflict of ids, q waits, f no room, s shut down, o the session is over
-- PARTS clock identity uncontended_put level sessions room notify wake
-- FLOW
--   order_key tags ready gates openings order
-- END
--   handoff ids stamp
-- FLOW
--   own_places own fair_line
--   once_line once
-- END
--   putter_record line take_out unfold refuse_waiting admit verdicts
--   enter park
-- FLOW
--   forget_let_in
-- END
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
  if number == before then
    -- Written again, so that WAIT behind a repetition counts who has it.
    redis.call('HSET', lanes, owner .. ':put', record)
    return answer(recorded)
  end
end
local newer = level and tonumber(level) > KNOWN_LEVEL
if newer and (KNOWN_LEVEL == 0 or #entries > 0) then return {'flow', tonumber(level)} end
-- FLOW
-- Older data lack it, or somebody has deleted the queue: what is put needs it all the same.
if not level and #entries > 0 then redis.call('HSET', settings, 'flow', KNOWN_LEVEL) end
-- END

local maxsize = tonumber(bound or 0)
local free = room(maxsize)
if heard ~= '' or confirmed ~= '' then
  forget_refused(owner, heard)
  -- FLOW
  order.forget_let_in(confirmed)
  -- END
end
if withdrawn ~= '' then
  for i, waited in ipairs(take_out(withdrawn)) do
    local letter = waited and 'w' or 'x'
    -- FLOW
    if not waited and redis.call('ZSCORE', let_in, string.sub(withdrawn, 22 * i - 21, 22 * i)) then letter = 'a' end
    -- END
    verdict(letter, 1)
  end
end
-- Whoever shut the queue down may have died on the way.
if shut and not newer then refuse_waiting(1000) end
local waiting_in_line = newer and 0 or in_line()
local admitted = 0
if waiting_in_line > 0 then
  admitted = admit(free, shut)
  waiting_in_line = in_line()
  free = waiting_in_line > 0 and 0 or room(maxsize)
end

local getter = #entries == 1 and not paused and may_be_handed(entries[1]) and who_waits()
-- Entries of this process may have been taken out of the line with its session: nothing goes in before them.
if not live then free = 0 end
local overflow = not live and 'o' or may_wait == '1' and 'q' or 'f'
local entered = 0

-- FLOW
-- Has an entry wait for its KEY or limit, where it must and nobody is in line; false where it need not.
local function is_for_own(outgoing, key)
  local own = live and waiting_in_line == 0 and order.must_wait(outgoing, key, 33)
  if not own then return false end
  if overflow == 'q' then order.wait_for_own(own, session, outgoing) end
  return true
end
-- END

-- FLOW
-- Puts all: what has to wait for its own key or limit does so, and what comes after another of its key, or is over its limit, is there.
local function put_in_order()
  local key_of = order.keys_of(entries, 1, #entries)
  local mark, going, at, letter, count = next_stamp(), {}, 1, 'a', 0
  while at <= #entries and free > entered do
    local becomes = 'a'
    if is_for_own(entries[at], key_of[at]) then
      becomes = overflow
    else
      local entry = mark .. entries[at]
      if order.goes_on(entry, key_of[at]) then going[#going + 1] = entry end
      entered = entered + 1
    end
    if becomes ~= letter then
      verdict(letter, count)
      letter, count = becomes, 0
    end
    at, count = at + 1, count + 1
  end
  verdict(letter, count)
  order.write()
  order.send_on(going, pending)
  if overflow == 'q' then park(at, #entries) end
  verdict(overflow, #entries - at + 1)
end
local in_order = #entries > 1 or #entries == 1 and order.must_wait(entries[1], order.key(entries[1], 33), 33)
-- END

if shut and again ~= '1' then
  verdict('s', #entries)
elseif with_ids == '1' or again == '1' then
  local last, refused = putter_record(owner)
  -- An owner's are admitted in the order in which it put them: up to the first that is in line no more they keep their places, and from
  -- there on all get new ones. Where all were put again, one that was withdrawn since would stand in front of them in older data.
  local keep_places = again == '1'
  local function leave_from(i)
    local keys = {}
    for at = i, #entries do keys[#keys + 1] = string.sub(entries[at], 1, 22) end
    take_out(table.concat(keys))
    waiting_in_line = in_line()
    free = live and waiting_in_line == 0 and room(maxsize) or 0
    keep_places = false
  end
  if shut and keep_places then leave_from(1) end
  -- What becomes of an entry that may have been put before, or whose id may be known.
  local function put_one(i, outgoing)
    local key = string.sub(outgoing, 1, 22)
    -- It waited, and the answer says what became of it.
    if again == '1' and string.find(refused, key, 1, true) then return 'q' end
    if again == '1' then
      local was_admitted = tonumber(string.sub(key, 13)) <= last
      -- FLOW
      -- Entries with flow do not go in by their numbers.
      if order.FLAGS[string.byte(outgoing, 33)] then was_admitted = redis.call('ZSCORE', let_in, key) ~= false end
      -- END
      if was_admitted then return 'a' end
    end
    if shut then return 's' end
    local body = again == '1' and redis.call('HGET', bodies, key)
    if body then
      local _, mark = string.match(body, WAITS)
      if live then redis.call('HSET', bodies, key, session .. mark .. ' ' .. outgoing) end
      return live and 'q' or 'o'
    end
    if keep_places and live then leave_from(i + 1) end
    local headers = has_id(outgoing) and headers_of(outgoing)
    local met = headers and look_up_id(headers) or 'new'
    if met == 'conflict' then return 'c' end
    if met == 'known' then return 'k' end
    -- FLOW
    local name, from = order.name(outgoing, 33)
    local is_named_in_line = name and live and order.is_named_in_line(name)
    local became = name and live and not is_named_in_line and order.meet_name(name, outgoing, from)
    if became then return became end
    if not is_named_in_line and is_for_own(outgoing, order.key(outgoing, 33)) then
      if name and overflow == 'q' then order.waits_named(name, key) end
      return overflow
    end
    -- Behind another of its NAME that waits, for room or for its own: the two go in together, where there is room at the next take.
    if is_named_in_line and free > 0 then free, order.is_sooner = 0, true end
    -- END
    if free <= 0 then
      if overflow == 'q' then
        park(i, i)
        waiting_in_line = waiting_in_line + 1
        -- FLOW
        if name then order.waits_named(name, key) end
        -- END
      end
      return overflow
    end
    enter(i, i, getter)
    if headers then record_id(outgoing, headers) end
    entered, free = entered + 1, free - 1
    return 'a'
  end
  for i, outgoing in ipairs(entries) do verdict(put_one(i, outgoing), 1) end
else
  -- FLOW
  if in_order then put_in_order() end
  if not in_order then
  -- END
  entered = math.min(free, #entries)
  enter(1, entered, getter)
  verdict('a', entered)
  if overflow == 'q' then park(entered + 1, #entries) end
  verdict(overflow, #entries - entered)
  -- FLOW
  end
  -- END
end
count_put(entered)
local recorded = table.concat(verdicts)
redis.call('HSET', lanes, owner .. ':put', string.format('%.0f', now) .. ' ' .. number .. ' ' .. recorded)
-- FLOW
-- What stands at a gate wakes nobody, but who is to know when it opens.
admitted = admitted - order.at_gates
if order.opens_sooner and admitted + entered <= handed_over and not paused and order.is_unwatched() then wake_one() end
-- END
if admitted + entered > handed_over and not paused then wake_one() end
-- FLOW
if order.is_sooner and not paused then wake_one() end
-- END
return answer(recorded)
