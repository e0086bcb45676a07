#!lua flags=allow-oom
-- Ends a wait, or confirms its outcome. What is not there is no error: an end may be repeated.
-- KEYS arrivals deadlines gaps passed refused outcomes departed
-- ARGV
--   id        the waiter
--   in_doubt  1 when its request may still be on its way, on a connection that was dropped: refuse it when it comes
-- RETURNS nothing
-- PARTS clock identity notify barrier
forget_waiter(id)
for _, key in ipairs({passed, refused}) do redis.call('ZREM', key, id) end
redis.call('HDEL', outcomes, id)
if in_doubt == '1' then
  redis.call('ZADD', departed, number(now), id)
  redis.call('ZREMRANGEBYSCORE', departed, '-inf', number(now - DOUBT_MS))
  redis.call('PEXPIRE', departed, DOUBT_MS)
end
return nil
