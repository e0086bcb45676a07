#!lua flags=allow-oom
-- Ends a shutdown, once it has gone all along the line of waiting puts.
-- KEYS putters bodies lanes settings totals
-- RETURNS how many places of the line are left: call again while there are some
-- PARTS clock identity notify stamp putter_record line refuse_waiting
local left = 0
if redis.call('HEXISTS', settings, 'shutdown') == 1 then left = refuse_waiting(1000) end
if left == 0 then redis.call('HDEL', settings, 'shutdown', 'refused_upto') end
return left
