#!lua flags=allow-oom
-- Settles finished deliveries, then hands out the next messages (none while paused), in one step; lets waiting puts in as
-- room appears.
-- KEYS pending returned suspects delayed leased handed line bodies dead dead_index sessions idle joiners lanes ids
--   ids_due settings totals results results_due given_up
-- ARGV
--   session        the caller's session
--   number         this call's number in its lane; every call has a new one, for a take is never repeated
--   settle_number  the number of the settling half; a repetition carries the same
--   held           deliveries that the caller holds, those it settles here included
--   acks           fields (45 bytes each) of finished deliveries
--   returns        fields of deliveries given back: neither failure nor crash
--   resync         1 when the reply to an earlier take was lost; 2 when the caller has gone on under another id too
--   keep           fields that a resync must leave with the caller
--   seen           the field that was handed to the caller by a put since its last call, or ''
--   want           messages to hand out at most
--   may_idle       when there are fewer, register the session for a wake-up (1), which may carry a message (2: nothing is
--                  being handled, so that nothing keeps it from starting); 0: do not
--   was_idle       1: the session may be registered
--   others         ... field, kind ('nack', 'dead', 'crash': a failure that is called `crashed` in the end, or 'result': done
--                  with, and somebody asked for the result), delay in ms, reason or outcome, report, attempts ('' for what is
--                  stored), headers ('' for no new ones), traceback; seven to a delivery
-- RETURNS 'late'; or 'ok' or 'over' (nothing handed out), now in ms, refused fields ('all' where the session was over),
--   entries, look again in ms, a session to recover or '', 1 if shut down and finished
-- PARTS clock identity sessions room unfinished tell wake ids stamp admit answer bury put_back receive finish
local lane = owner_of(session) .. ':take'
local before = redis.call('HGET', lanes, lane)
local refused = nil
if before then
  local last, settled, stored = string.match(before, '^%d+ (%d+) (%d+) ?(.*)$')
  if tonumber(number) <= tonumber(last) then return {'late'} end
  if settled == settle_number then refused = stored end
end
local function record()
  redis.call('HSET', lanes, lane, string.format('%.0f', now) .. ' ' .. number .. ' ' .. settle_number .. ' ' .. refused)
end
if not is_live(session) then
  local told = refused or 'all'
  refused = refused or ''
  if told ~= 'all' then record() end
  return {'over', now, told, {}, 1000, '', 0}
end
local stored = redis.call('HMGET', settings, 'maxsize', 'max_attempts', 'shutdown', 'joining', 'paused')
local maxsize, max_attempts, shut, joining = tonumber(stored[1] or 0), tonumber(stored[2] or 5), stored[3], stored[4]
local paused = stored[5]
local in_line = redis.call('LLEN', line)
local function split(blob)
  local fields = {}
  for at = 1, #blob, 45 do fields[#fields + 1] = string.sub(blob, at, at + 44) end
  return fields
end
local handed_to_us = receive(session)
-- First, so that what nobody holds is served again in its old place; what is settled below is kept till then.
if resync ~= '0' then
  local kept, orphans = {}, {}
  -- Handed since that reply, with a wake-up that has come or is about to.
  if handed_to_us and resync == '1' then kept[string.sub(handed_to_us, 1, 45)] = true end
  for _, field in ipairs(split(keep)) do kept[field] = true end
  for _, field in ipairs(redis.call('HKEYS', leased)) do
    if not kept[field] then orphans[#orphans + 1] = field end
  end
  table.sort(orphans)
  put_back(orphans, 0)
end
local again, crashed_before = redis.call('LLEN', returned), redis.call('LLEN', suspects)
local acked, nacked = 0, 0
local function settle_acks(fields)
  -- The session holds what the caller holds, so all is there and one call removes it; else each is looked at.
  local trusted = redis.call('HLEN', leased) == tonumber(held)
  for first = 1, trusted and #fields or 0, 1000 do
    acked = acked + redis.call('HDEL', leased, unpack(fields, first, math.min(first + 999, #fields)))
  end
  if trusted then return '' end
  local missing = {}
  for _, field in ipairs(fields) do
    local removed = redis.call('HDEL', leased, field)
    acked = acked + removed
    if removed == 0 then missing[#missing + 1] = field end
  end
  return table.concat(missing)
end
-- LENGTH(3) and the headers stand behind the flag, at 50.
local function with_headers(entry, headers)
  if headers == '' or #headers > 999 then return entry end
  local body = string.sub(entry, 53 + tonumber(string.sub(entry, 50, 52)))
  return string.sub(entry, 1, 49) .. string.format('%03d', #headers) .. headers .. body
end
local function settle_other(field, kind, value, report, attempts, headers, trace)
  local entry = redis.call('HGET', leased, field)
  if not entry then return field end
  if kind == 'result' then
    answer(string.sub(entry, 17, 38), entry, value)
    acked = acked + redis.call('HDEL', leased, field)
    return ''
  end
  entry = with_headers(entry, headers)
  local failure = kind == 'dead' and 0 or 1
  nacked = nacked + failure
  entry = counted(entry, 0, failure)
  if kind == 'dead' then
    bury(string.sub(entry, 17, 38), entry, value, report, trace)
  elseif tonumber(string.sub(entry, 46, 48)) >= (tonumber(attempts) or max_attempts) then
    bury(string.sub(entry, 17, 38), entry, kind == 'crash' and 'crashed' or 'failed', report, trace)
  elseif tonumber(value) > 0 then
    redis.call('ZADD', delayed, now + value, entry)
  elseif crashes_of(entry) >= 2 then
    redis.call('RPUSH', suspects, entry)
  else
    redis.call('RPUSH', returned, entry)
  end
  redis.call('HDEL', leased, field)
  return ''
end
if not refused then
  refused = settle_acks(split(acks))
  if returns ~= '' then refused = refused .. put_back(split(returns), 0) end
  for i = 1, #others, 7 do refused = refused .. settle_other(unpack(others, i, i + 6)) end
  if acked > 0 then redis.call('HINCRBY', totals, 'acked', acked) end
  if nacked > 0 then redis.call('HINCRBY', totals, 'nacked', nacked) end
end
want = tonumber(want)
local entries, bytes = {}, 0
if handed_to_us and resync ~= '2' and seen ~= string.sub(handed_to_us, 1, 45) then
  -- The wake-up that carried it was lost, or is on its way still.
  entries[1], bytes = handed_to_us, #handed_to_us
end
local some_given_up, dropped = want > 0 and redis.call('ZCARD', given_up) > 0, 0
if some_given_up then redis.call('ZREMRANGEBYSCORE', given_up, '-inf', string.format('%.0f', now - 86400000)) end
-- Whether nobody wants the message any more; then it is done with.
local function drop(entry)
  local key = string.sub(entry, 17, 38)
  if redis.call('ZREM', given_up, key) == 0 then return false end
  dropped = dropped + 1
  forget_submitted(key, entry)
  return true
end
local function lease(found)
  local held_now = {}
  for _, entry in ipairs(found) do
    local flag = string.byte(entry, 49)
    local gone = some_given_up and is_asked(entry) and drop(entry)
    if not gone and #entry >= 52 and (flag == 46 or flag == 105 or flag == 114 or flag == 115) then
      held_now[#held_now + 1] = string.sub(entry, 1, 45)
      held_now[#held_now + 1] = entry
      entries[#entries + 1] = entry
      bytes = bytes + #entry
    elseif not gone then
      -- Nobody's put wrote this: it has no key of its own, and must not stop the queue.
      redis.call('HINCRBY', totals, 'put', 1)
      bury('unreadable' .. string.format('%012.0f', redis.call('HINCRBY', totals, 'unreadable', 1)), entry, 'undecodable', 'not an entry')
    end
  end
  if #held_now > 0 then redis.call('HSET', leased, unpack(held_now)) end
end
local function take_from(list, most)
  local taken = 0
  while taken < most and want > #entries and bytes < 1048576 and dropped < 1000 do
    local slice = math.min(most - taken, want - #entries, taken == 0 and 16 or 128)
    local found = redis.call('LRANGE', list, 0, slice - 1)
    if #found == 0 then break end
    lease(found)
    redis.call('LTRIM', list, #found, -1)
    taken = taken + #found
  end
  return taken
end
local function holds_suspect()
  for _, field in ipairs(redis.call('HKEYS', leased)) do
    if tonumber(string.sub(field, 39, 39)) >= 2 then return true end
  end
  return false
end
if want > 0 and not paused then
  -- Only what was there before this call settled: a call may not take what it has just given back.
  if again > 0 then take_from(returned, again) end
  if crashed_before > 0 and not holds_suspect() then take_from(suspects, 1) end
  if #entries < want then
    local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, math.min(want - #entries, 500))
    local single = {}
    for _, entry in ipairs(due) do
      if crashes_of(entry) >= 2 then redis.call('RPUSH', suspects, entry) else single[#single + 1] = entry end
    end
    lease(single)
    if #due > 0 then redis.call('ZREM', delayed, unpack(due)) end
  end
end
-- Take and admit in turn, or a small bound would cost one trip for every maxsize messages.
repeat
  local taken = not paused and want > #entries and take_from(pending, math.huge) or 0
  local let_in = 0
  if in_line > 0 then
    let_in = admit(room(maxsize))
    in_line = redis.call('LLEN', line)
  end
until let_in == 0 or want <= #entries or bytes >= 1048576
if dropped > 0 then redis.call('HINCRBY', totals, 'given_up', dropped) end

local fresh, later = waiting()
local look_again, overdue = 1000, ''
local first = redis.call('ZRANGE', sessions, 0, 0, 'WITHSCORES')
if first[1] and tonumber(first[2]) < now then
  overdue = first[1]
elseif first[1] then
  look_again = math.min(look_again, tonumber(first[2]) - now + 1)
end
local ready = fresh + redis.call('LLEN', returned) + redis.call('LLEN', suspects)
if later > 0 then
  local due = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if due[1] and tonumber(due[2]) <= now then ready = ready + 1
  elseif due[1] then look_again = math.min(look_again, math.max(1, tonumber(due[2]) - now)) end
end
local unsatisfied = want > #entries and bytes < 1048576
if was_idle == '1' then redis.call('ZREM', idle, session) end
-- What is left is for others first; if nobody waits for it, the caller may call again at once for what it could take.
if ready > 0 and not paused and not wake_one() and unsatisfied then
  local barred = redis.call('LLEN', suspects) > 0 and holds_suspect() and redis.call('LLEN', suspects) or 0
  if ready > barred then look_again = 0 end
end
if may_idle ~= '0' and unsatisfied then
  redis.call('ZADD', idle, now_us, session)
  if may_idle == '2' then redis.call('HSET', handed, session, '') end
end
record()
tell_if_finished(shut, joining)
local ended = shut and unfinished() <= 0
return {'ok', now, refused, entries, look_again, overdue, ended and 1 or 0}
