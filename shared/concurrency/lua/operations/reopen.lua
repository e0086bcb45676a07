#!lua flags=allow-oom
-- Ends a shutdown, once it has gone all along the line of waiting puts.
-- KEYS putters bodies lanes settings totals
-- FLOW
--   line_own flow tags ready line_fair gated
-- END
-- ARGV
--   session  the caller's session
--   number   this step's number in its lane; a repetition carries the same
-- RETURNS how many places of the line are left: call again, under the next number, while there are some
-- PARTS clock identity level notify stamp
-- FLOW
--   order_key tags own_places once_line
-- END
--   putter_record line refuse_waiting one_effect
local before = answered()
if before then return before end
local left = 0
if redis.call('HEXISTS', settings, 'shutdown') == 1 then left = refuse_waiting(1000) end
if left == 0 then redis.call('HDEL', settings, 'shutdown', 'refused_upto') end
return answer_once({left})
