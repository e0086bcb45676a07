#!lua
-- Acknowledges deliveries together with the writes that their handlers collected: each with all of them, or not at all.
-- Refused when memory is full (no allow-oom): nothing is written then, and all stay leased.
-- Behind the KEYS stand those before `leased` again, for each other queue that is put to, and the keys that are written to.
-- KEYS pending returned suspects delayed putters bodies handed sessions idle lanes ids ids_due settings totals
-- FLOW
--   tails behind passed released line_own let_in flow tags ready line_fair gated running opens
--   once
-- END
--   leased joiners results results_due marks
-- ARGV
--   session  the caller's session
--   number   this call's number in its lane; a repetition carries the same
--   words    ... for each delivery its receipt and its number of writes, then for each write: command, place of its key among
--            KEYS (of a queue: of its first key), number of operands, the operands; 'result' with the outcome is one of them
--            A put may be in folds that were staged: 'staged', and as operands the session at that queue which did so, how many, their keys, and then entries in none
-- RETURNS 'late'; 'flow' and the queue's level: nothing has changed, see the part `level`; or 'ok' or 'over' (the session; nothing was written), and for each delivery: 'ok' and the keys of puts
--   that wait, also keys of folds; 'stale', 'unstaged' (a fold is not there any more), or 'refused', the number of the write that cannot be
--   made, and why: `flow` and the level of a queue that is put to, with the wrong keys for it, or too old
-- PARTS clock identity level sessions room unfinished notify wake
-- FLOW
--   order_key tags ready gates order
-- END
--   handoff ids staged stamp
-- FLOW
--   own_places own fair_line
--   once_line once
-- END
--   putter_record line unfold refuse_waiting admit entry marks answer finish select_queue
-- FLOW
--   once_out once_forward
-- END
--   writes forward apply
local lane = owner_of(session) .. ':effects'
local before = redis.call('HGET', lanes, lane)
local function split(recorded)
  local verdicts = {}
  for verdict in string.gmatch(recorded, '[^,]+') do verdicts[#verdicts + 1] = verdict end
  return verdicts
end
if before then
  local last, recorded = string.match(before, '^%d+ (%d+) (.*)$')
  if tonumber(number) < tonumber(last) then return {'late'} end
  if number == last then
    -- Written again, so that WAIT behind a repetition counts who has it.
    redis.call('HSET', lanes, lane, before)
    return {'ok', split(recorded)}
  end
end
if not is_live(session) then return {'over', {}} end
local stored = redis.call('HMGET', settings, 'shutdown', 'joining', 'flow')
if stored[3] and KNOWN_LEVEL == 0 then return {'flow', tonumber(stored[3])} end

local received = redis.call('HGET', handed, session)
local settled, is_settled = {}, {}
local function holds(receipt)
  if is_settled[receipt] then return false end
  if redis.call('HEXISTS', leased, receipt) == 1 then return true end
  -- Handed over by a put, and done with before the next take.
  if received and string.sub(received, 1, 45) == receipt then
    redis.call('HSET', leased, receipt, received)
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

local verdicts, acked = {}, 0
while at <= #words do
  local receipt = next_word()
  local writes = next_writes()
  local verdict = not holds(receipt) and 'stale' or check(writes)
  if not verdict then
    verdict = 'ok ' .. apply(receipt, writes)
    -- FLOW
    order.finished({redis.call('HGET', leased, receipt)})
    -- END
    settled[#settled + 1], is_settled[receipt] = receipt, true
    if marked then marked.take_off(string.sub(receipt, 17, 38), 'finished') end
    acked = acked + 1
  end
  verdicts[#verdicts + 1] = verdict
end
write_all_amounts()
for first = 1, #settled, 1000 do redis.call('HDEL', leased, unpack(settled, first, math.min(first + 999, #settled))) end
redis.call('HSET', lanes, lane, string.format('%.0f', now) .. ' ' .. number .. ' ' .. table.concat(verdicts, ','))
if acked > 0 then redis.call('HINCRBY', totals, 'acked', acked) end
wake_getters()
-- FLOW
-- What stood behind may go, or is due soon; and what waited for its own key may be let in.
if redis.call('ZLEXCOUNT', line_own, '[!', '("') > 0 then admit(room(tonumber(redis.call('HGET', settings, 'maxsize') or 0))) end
if order.has_let_go then wake_one() end
-- Whichever acknowledgement let go: another queue was looked at since.
order.has_touched = acked > 0
order.keep_times()
-- END
notify_if_finished(stored[1], stored[2])
return {'ok', verdicts}
