#!lua flags=allow-oom
-- Settles finished deliveries, then delivers the next messages (none while paused), in one step; lets waiting puts in as
-- room appears. After an immediate shutdown nothing is delivered: what waits, and what comes back, becomes dead letters.
-- KEYS pending returned suspects delayed leased handed putters bodies dead dead_index dead_groups sessions idle joiners lanes ids
--   ids_due settings totals results results_due marks
-- FLOW
--   tails behind passed released line_own let_in flow tags ready line_fair gated running opens
--   once
-- END
-- ARGV
--   session        the caller's session
--   number         this call's number in its lane; every call has a new one, for a take is never repeated
--   settle_number  the number of the settling half; a repetition carries the same
--   held           deliveries that the caller holds, those it settles here included; -1 when it does not know
--   acks           receipts (45 bytes each) of finished deliveries
--   returns        receipts of deliveries given back: neither failure nor crash
--   resync         1 when the reply to an earlier take was lost; 2 when the caller goes on under another id too; 3: as 1, by a
--                  caller that has read since its last call what the session holds, by `receipts`; else 0
--   keep           receipts that a resync must leave with the caller; at 3 those that it gives back, in order
--   seen           the receipt that a put handed to the caller since its last call, or ''
--   want           messages to deliver at most
--   may_idle       1: when there are fewer, register the session for a wake-up; 2: also for one that carries a message (the
--                  caller handles nothing that could keep it from starting); 0: do not
--   was_idle       1: the session may be registered
--   others         ... receipt, kind ('nack', 'dead', 'crash': a failure that is called `crashed` in the end, 'lost': a crash, for
--                  its worker ended by an error, 'pass': a nack that lets those behind it in its key pass, 'result': done with, and somebody asked for the result, 'wait': a nack that is
--                  no failure for so long, or 'later': a wait for somebody who can read it, a dead letter after so long), delay in
--                  ms (and for how long), reason or outcome, report, attempts ('' for what is stored), headers ('' for no new
--                  ones), traceback; seven to a delivery, and to a result three: up to its outcome
-- RETURNS 'late'; 'flow' and the queue's level: nothing has changed, see the part `level`; or 'ok', 'over' (nothing delivered) or
--   'newer' (settled, and nothing else done: a newer program uses the queue), now in ms, refused receipts ('all' where the session was over),
--   entries, look again in ms, a session to recover or '', 1 if shut down and finished, what became a dead letter: key, the
--   caller's id or '', class or '', reason and error of each; 1 if a resync has not given back all: resync again; 2 if the session holds more than
--   3000: read that, and resync with 3
-- PARTS clock identity level sessions room unfinished notify wake ids stamp
-- FLOW
--   order_key tags ready gates openings order own_places own fair_line merge
--   once_line once once_out
-- END
--   putter_record line unfold refuse_waiting admit entry marks answer letter_groups dead_letter
--   end_waiting put_back receive settle take look_again finish
local lane = owner_of(session) .. ':take'
local before = redis.call('HGET', lanes, lane)
local refused = nil
if before then
  local last, last_settled, stored = string.match(before, '^%d+ (%d+) (%d+) ?(.*)$')
  if tonumber(number) <= tonumber(last) then return {'late'} end
  if last_settled == settle_number then refused = stored end
end
local function record()
  redis.call('HSET', lanes, lane, string.format('%.0f', now) .. ' ' .. number .. ' ' .. settle_number .. ' ' .. refused)
end
if not is_live(session) then
  local verdict = refused or 'all'
  refused = refused or ''
  if verdict ~= 'all' then record() end
  return {'over', now, verdict, {}, 1000, '', 0, {}, 0}
end
local stored = redis.call('HMGET', settings, 'maxsize', 'max_attempts', 'shutdown', 'joining', 'paused', 'behind', 'clock', 'flow')
local level = tonumber(stored[8] or 0)
local newer = level > KNOWN_LEVEL
if newer and KNOWN_LEVEL == 0 then return {'flow', level} end
local maxsize, max_attempts, shut, joining = tonumber(stored[1] or 0), tonumber(stored[2] or 5), stored[3], stored[4]
-- Of a shutdown at once that is under way, or done: what comes back since ends too.
local is_ending = shut == 'ending' or shut == 'immediate'
local stopped = stored[5] or is_ending
local paused = stopped or newer
steady_now = math.max(now + tonumber(stored[6] or 0), tonumber(stored[7] or 0))

local received = receive(session)
local is_resync, is_former, has_more_orphans = resync ~= '0', resync == '2', false
-- More than one call looks at. What is left of a former session comes back when it is overdue.
local is_much = is_resync and resync ~= '3' and redis.call('HLEN', leased) > 3000
-- First, so that what nobody holds is served again in its old place; what is settled below is kept till then.
if is_resync and not is_much then
  local kept, orphans = {}, resync == '3' and receipts_in(keep) or {}
  if resync ~= '3' then
    -- Handed since that reply, with a notification that has come or is about to.
    if received and not is_former then kept[string.sub(received, 1, 45)] = true end
    for at = 1, #keep, 45 do kept[string.sub(keep, at, at + 44)] = true end
    for _, receipt in ipairs(redis.call('HKEYS', leased)) do
      if not kept[receipt] then orphans[#orphans + 1] = receipt end
    end
    table.sort(orphans)
  end
  has_more_orphans = put_back(orphans, 1) < #orphans
end
-- A call may not take what it gives back.
-- FLOW
if not paused and want > 0 then order.open_due() end
order.has_come_back = {}
-- END
local returned_before, suspects_before = redis.call('LLEN', returned), redis.call('LLEN', suspects)
if not refused then
  refused = settle_acks(receipts_in(acks), tonumber(held))
  if returns ~= '' then refused = refused .. settle_returns(receipts_in(returns)) end
  if #others > 0 then refused = refused .. settle_others(max_attempts) end
  if acked > 0 then redis.call('HINCRBY', totals, 'acked', acked) end
  if nacked > 0 then redis.call('HINCRBY', totals, 'nacked', nacked) end
end

if received and not is_former and seen ~= string.sub(received, 1, 45) then
  if marked and marked.drop(received) then
    redis.call('HDEL', leased, string.sub(received, 1, 45))
  else
    -- The notification that carried it was lost, or is still on its way.
    entries[1], bytes = received, #received
  end
end
local ends_more = is_ending and not newer and end_waiting(500) > in_line()
if want > 0 and marked then marked.prune() end
if want > 0 and not paused then
  if returned_before > 0 then take_from(returned, returned_before) end
  if suspects_before > 0 and not holds_suspect() then take_from(suspects, 1) end
  local moved = 0
  -- As `take_from`; what crashed twice goes to the suspects first.
  while moved < 500 and want > #entries and not is_full and not has_passed_enough() do
    local slice = fitting(largest == 0 and 1 or math.min(want - #entries, 16))
    local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', steady_now, 'LIMIT', 0, slice)
    if #due == 0 then break end
    local harmless, done = {}, {}
    for _, entry in ipairs(due) do
      -- FLOW
      -- One with a limit goes on from its gate.
      if #order.back_to_gates({entry}) == 0 then
        pass_over(entry)
        largest = math.max(largest, #entry)
        done[#done + 1] = entry
      else
      -- END
      if crashes_of(entry) >= 2 then
        redis.call('RPUSH', suspects, entry)
        pass_over(entry)
        largest = math.max(largest, #entry)
        done[#done + 1] = entry
      -- FLOW
      elseif not order.come_back({entry})[1] then
        order.has_come_back[entry] = nil
        pass_over(entry)
        largest = math.max(largest, #entry)
        done[#done + 1] = entry
      -- END
      else
        harmless[#harmless + 1] = entry
      end
      -- FLOW
      end
      -- END
    end
    for i = 1, lease(harmless) do done[#done + 1] = harmless[i] end
    if #done > 0 then redis.call('ZREM', delayed, unpack(done)) end
    moved = moved + #done
  end
end
if not newer then take_pending(paused, maxsize, shut) end
set_aside()
-- FLOW
order.keep_times()
-- END

local look_again, overdue, ready, due_soon = look_ahead()
local is_unsatisfied = want > #entries and not is_full
-- There may be more that had no room in this reply.
if is_full then look_again = 0 end
if was_idle == '1' then redis.call('ZREM', idle, session) end
-- What is left is for others first; if nobody waits for it, the caller may call again at once for what it could take.
if ready > 0 and not stopped and not wake_one() and is_unsatisfied then
  local suspect = redis.call('LLEN', suspects)
  if ready > (suspect > 0 and holds_suspect() and suspect or 0) then look_again = 0 end
end
if (line_goes_on or ends_more) and is_unsatisfied then look_again = 0 end
if newer then look_again, overdue = LOOK_MS, '' end
local goes_idle = may_idle ~= '0' and is_unsatisfied and not newer
-- FLOW
local opening = not stopped and not newer and order.is_unwatched(session)
if opening and goes_idle then
  order.watch(session, opening)
  look_again = math.min(look_again, math.max(1, math.ceil((opening - now_us) / 1000)))
elseif opening and ready == 0 then
  -- Somebody who is idle must know when it opens.
  wake_one()
end
soonest = math.min(soonest, order.soonest)
-- END
-- Somebody who is idle must know that a message is due that was delayed just now, before the others look by themselves. It
-- is idle anew then, behind those who do not know, so that puts wake those first.
if due_soon and soonest <= due_soon and ready == 0 and not stopped and not goes_idle then wake_one() end
if goes_idle then
  redis.call('ZADD', idle, now_us, session)
  local takes_handoff = may_idle == '2'
  if takes_handoff then redis.call('HSET', handed, session, '') end
end
record()
if discarded > 0 then notify(session, 'discarded', discarded) end
if marked and unfinished() <= 0 then marked.end_stray() end
notify_if_finished(shut, joining)
local has_ended = shut and unfinished() <= 0
local again = is_much and not is_former and 2 or has_more_orphans and 1 or 0
return {newer and 'newer' or 'ok', now, refused, entries, look_again, overdue, has_ended and 1 or 0, died, again}
