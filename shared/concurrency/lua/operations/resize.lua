#!lua flags=allow-oom
-- Changes the bound and other settings; admits waiting puts where there is room now.
-- KEYS pending returned suspects delayed putters bodies sessions idle lanes ids ids_due settings totals
-- FLOW
--   tails behind passed released line_own let_in flow tags ready line_fair gated running opens
--   once
-- END
-- ARGV
--   session  the caller's session
--   number   this step's number in its lane; a repetition carries the same
--   maxsize  the new bound in messages, 0 for none; empty to leave it, or to go on
--   changes  ... name and new value of each other setting, as register has them; 0 for no limit
-- RETURNS 1 while more may be admitted: call again, under the next number, to go on; else 0
-- PARTS clock identity level sessions room notify wake ids stamp
-- FLOW
--   order_key tags ready gates order own_places own fair_line
--   once_line once
-- END
--   putter_record line unfold refuse_waiting admit one_effect
local before = answered()
if before then return before end
if maxsize ~= '' then redis.call('HSET', settings, 'maxsize', maxsize) end
if #changes > 0 then redis.call('HSET', settings, unpack(changes)) end
-- FLOW
-- Another bound has room for others behind a key.
if maxsize ~= '' and not redis.call('HGET', settings, 'shutdown') then order.own_to_line(1000) end
-- END
if admit(room(tonumber(redis.call('HGET', settings, 'maxsize') or 0))) > 0 then wake_one() end
return answer_once({line_goes_on and 1 or 0})
