#!lua flags=allow-oom
-- Ends a wait for a rate: those behind move up. What is not there is no error: an end may be repeated.
-- KEYS rate line deadlines departed
-- ARGV
--   id        who waited
--   in_doubt  1 when its request may still be on its way, on a connection that was dropped: refuse it when it comes
-- RETURNS nothing
-- PARTS clock identity notify rate
prune()
if forget_waiter(id) then notify_first() end
if in_doubt == '1' then
  redis.call('ZADD', departed, number(now), id)
  redis.call('ZREMRANGEBYSCORE', departed, '-inf', number(now - DOUBT_MS))
  redis.call('PEXPIRE', departed, DOUBT_MS)
end
return nil
