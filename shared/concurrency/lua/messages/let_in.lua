#!lua flags=allow-oom
-- Lets waiting puts in where there is room, so many a call; for what was put with one acknowledgement and has room at once.
-- KEYS pending returned suspects delayed putters bodies sessions idle lanes ids ids_due settings totals
-- FLOW
--   tails behind passed released line_own let_in flow tags ready line_fair gated running opens
--   once
-- END
-- RETURNS 1 while more may be admitted: call again to go on; else 0; or 'flow' and the level
-- PARTS clock identity level sessions room notify wake ids stamp
-- FLOW
--   order_key tags ready gates order own_places own fair_line
--   once_line once
-- END
--   putter_record line unfold refuse_waiting admit
local maxsize, paused, level = unpack(redis.call('HMGET', settings, 'maxsize', 'paused', 'flow'))
if level and tonumber(level) > KNOWN_LEVEL then return {'flow', tonumber(level)} end
if admit(room(tonumber(maxsize or 0))) > 0 and not paused then wake_one() end
return line_goes_on and 1 or 0
