#!lua flags=allow-oom
-- Ends a shutdown, once it has gone all along the line of waiting puts.
-- KEYS putters bodies lanes settings totals
-- RETURNS how many places of the line are left: call again while there are some
-- PARTS clock identity notify stamp putter_record line refuse refuse_waiting
local left = redis.call('HEXISTS', settings, 'shutdown') == 1 and refuse_waiting(1000) or 0
if left == 0 then redis.call('HDEL', settings, 'shutdown', 'refused_upto') end
return left
