#!lua flags=allow-oom
-- Shuts a queue down: no put enters, and waiting puts fail. At once: what waits for delivery becomes dead letters. A call does a part
-- of it; until all is done, `put` and `reopen` go on along the line, and takes with what waits for delivery.
-- KEYS pending returned suspects delayed putters bodies dead dead_index dead_groups sessions idle ids ids_due results results_due
--   marks joiners settings totals lanes
-- FLOW
--   tails behind passed released line_own flow tags ready line_fair gated running opens
--   once
-- END
-- ARGV
--   session    the caller's session
--   number     this step's number in its lane; a repetition carries the same
--   immediate  1: nothing more is delivered
--   begins     1; 0 to go on, which does nothing when the queue was reopened
-- RETURNS how much is left: call again, under the next number, to go on while there is some
-- PARTS clock identity level sessions room unfinished notify wake
-- FLOW
--   order_key tags ready gates order
-- END
--   entry marks answer letter_groups dead_letter end_waiting stamp
-- FLOW
--   own_places once_line once_out
-- END
--   putter_record line
--   refuse_waiting finish one_effect
local before = answered()
if before then return before end
if begins == '1' then
  redis.call('HSET', settings, 'shutdown', immediate == '1' and 'ending' or 'drain')
  redis.call('HDEL', settings, 'refused_upto')
end
local mode = redis.call('HGET', settings, 'shutdown')
if not mode then return answer_once({0}) end
local function end_one(key, entry)
  make_dead_letter(key, entry, 'shutdown', 'the queue was shut down before it was handled')
end
local left = refuse_waiting(1000, mode == 'ending' and end_one)
count_put(0)
if mode == 'ending' then left = left + (left == 0 and end_waiting(500) or 1) end
if discarded > 0 then notify(session, 'discarded', discarded) end
notify_if_finished(true, redis.call('HGET', settings, 'joining'))
return answer_once({left})
