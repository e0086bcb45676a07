#!lua flags=allow-oom
-- Cancels a message: takes it out of the line of waiting puts, or marks it, and notifies every live session, for one of them may have it
-- in hands. It never begins again from then on. Called again it marks again, and says what became of the message meanwhile.
-- KEYS putters bodies dead sessions lanes ids ids_due results results_due marks idle joiners settings totals
-- FLOW
--   line_own flow tags ready line_fair gated
--   once
-- END
-- ARGV
--   session  the caller's session
--   number   this step's number in its lane; a repetition carries the same
--   id       the caller's id of the message, or its key; or its name, as it is stored, behind a space
--   waits    1: the caller waits to be notified of what becomes of it; 0: it does not, or does no longer
--   cursor   where to go on in the line, for an id: what the call before returned; 0 to begin
-- RETURNS what became of it: removed (it did not begin), stopped (it was in somebody's hands), finished (it had ended already), asked (it is
--   marked), unknown; the cursor: call again with it, under the next number, until it is 0; `=` and the message's key, where that is known
-- PARTS clock identity level sessions unfinished notify
-- FLOW
--   order_key tags own_places
--   once_line once_out
-- END
--   putter_record line take_out ids entry marks marking answer cancel_waiting finish one_effect
-- FLOW
local MOST_CANCELLED = 100
-- END
local before = answered()
if before then return before end

-- What a call for it has brought about by now, and whether this caller waits for that.
local function outcome_so_far(key)
  local what, owners = string.match(redis.call('HGET', lanes, key .. ':cancel') or '', '^%d+ (%S+) ?(.*)$')
  what, owners = what or '-', owners or ''
  local owner, others = owner_of(session), {}
  for each in string.gmatch(owners, '%S+') do
    if each ~= owner then others[#others + 1] = each end
  end
  if what == '-' and waits == '1' then others[#others + 1] = owner end
  return what, table.concat(others, ' ')
end

-- HAS_ENDED: whether the id says that it was cancelled and has ended.
local function cancel(key, is_known, has_ended)
  if cancel_waiting(key) then
    notify_if_finished(redis.call('HGET', settings, 'shutdown'), redis.call('HGET', settings, 'joining'))
    return 'removed'
  end
  local what, owners = outcome_so_far(key)
  has_ended = has_ended or redis.call('HEXISTS', results, key) == 1
  local ended = what == '-' and (redis.call('HEXISTS', dead, key) == 1 and 'unknown' or has_ended and 'finished')
  if not ended and what == '-' and unfinished() <= 0 then
    ended = is_known and 'finished' or 'unknown'
    if marked then marked.end_stray() end
  end
  if ended or owners == '' then
    redis.call('HDEL', lanes, key .. ':cancel')
  else
    redis.call('HSET', lanes, key .. ':cancel', string.format('%.0f', now) .. ' ' .. what .. ' ' .. owners)
  end
  if ended or what ~= '-' then return ended or what end
  mark_cancelled(key)
  -- FLOW
  -- It never begins: a put of its name is of a new message.
  order.free_name_of(key)
  -- END
  redis.call('PEXPIRE', marks, MARK_MS)
  for _, live in ipairs(redis.call('ZRANGEBYSCORE', sessions, string.format('%.0f', now), '+inf')) do notify(live, 'cancel', key) end
  return 'asked'
end

-- FLOW
-- A name: what waits under it, and puts of it that wait for room, so many a call.
if string.byte(id) == 32 then
  local name = string.sub(id, 2)
  local stub = string.match(redis.call('HGET', once, name) or '', '^%d+ %d+ (.*)$')
  local in_line, what = order.named_in_line(name, MOST_CANCELLED), stub and cancel(string.sub(stub, 17, 38), true)
  for _, message in ipairs(in_line) do
    what = cancel(message, true) == 'removed' and (what or 'removed') or what
    order.leave_named(name, message)
  end
  return answer_once({what or 'unknown', #in_line == MOST_CANCELLED and '1' or '0', '=' .. (stub and string.sub(stub, 17, 38) or '')})
end
-- END
local expiry, known, over = string.match(redis.call('HGET', ids, id) or '', '^(%d+) %S+ %-?(%S+) ?(!?)$')
if expiry and tonumber(expiry) > now then return answer_once({cancel(known, true, over == '!'), '0', '=' .. known}) end
local is_key = string.find(id, '^[%+a-z2-7]' .. string.rep('[a-z2-7]', 11) .. string.rep('%d', 10) .. '$') ~= nil
if is_key then return answer_once({cancel(id), '0', '=' .. id}) end
local any
cursor, any = cancel_waiting_as(id, cursor)
return answer_once({any and 'removed' or 'unknown', cursor, '='})
