#!lua flags=allow-oom
-- Ends a hold, or a wait, and grants what has become free. What is not there is no error: an end may be repeated.
-- KEYS
--   record     HASH  token, kind, phase, longest_ttl, run_id, quiet_until, tickets; hold -> its mode and token
--   holders    ZSET  hold -> deadline in ms
--   waiting    ZSET  waiter -> deadline in ms
--   line       ZSET  waiting writers, or those who wait for a permit, by ticket
--   readers    ZSET  waiting readers, by ticket
--   withdrawn  ZSET  holds given up by those who do not know whether they asked -> when, in ms
-- ARGV
--   id        the hold's id
--   in_doubt  1 when the asking may still be on its way, on a connection that was given up: refuse it when it comes
-- RETURNS 'released', 'left' (it was waiting) or 'unknown'
-- PARTS clock identity tell lease
local deadline = redis.call('ZSCORE', holders, id)
local outcome = 'unknown'
if deadline and tonumber(deadline) >= now then
  outcome = 'released'
  forget_holder(id)
elseif redis.call('ZSCORE', waiting, id) then
  outcome = 'left'
  forget_waiter(id)
elseif in_doubt == '1' then
  redis.call('ZADD', withdrawn, number(now), id)
  redis.call('ZREMRANGEBYSCORE', withdrawn, '-inf', number(now - DOUBT_MS))
  redis.call('PEXPIRE', withdrawn, DOUBT_MS)
end
if redis.call('EXISTS', holders, waiting) > 0 then
  prune()
  advance()
end
let_rest()
return outcome
