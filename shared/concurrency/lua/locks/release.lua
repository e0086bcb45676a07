#!lua flags=allow-oom
-- Ends a hold, or a wait, and grants what has become free. What is not there is no error: an end may be repeated.
-- KEYS record holders waiting line readers withdrawn
-- ARGV
--   id        the hold's id
--   in_doubt  1 when a request for it may still be on its way, on a connection that was dropped: refuse it when it comes
--   run_id    the server's run_id as the caller saw it
-- RETURNS 'released', 'left' (it was waiting) or 'unknown'; 1 if there is more to grant: call again
-- PARTS clock identity uncontended_release notify lease
local deadline = redis.call('ZSCORE', holders, id)
local outcome = 'unknown'
if deadline and tonumber(deadline) >= now then
  outcome = 'released'
  forget_holder(id)
elseif redis.call('ZSCORE', waiting, id) then
  outcome = 'left'
  forget_waiter(id)
end
if in_doubt == '1' then
  redis.call('ZADD', withdrawn, number(now), id)
  redis.call('ZREMRANGEBYSCORE', withdrawn, '-inf', number(now - DOUBT_MS))
  redis.call('PEXPIRE', withdrawn, DOUBT_MS)
end
if redis.call('EXISTS', holders, waiting) > 0 then
  prune()
  notice_restart(run_id)
  advance()
end
keep(record)
if grants > 0 then keep(holders) end
return {outcome, unfinished and 1 or 0}
