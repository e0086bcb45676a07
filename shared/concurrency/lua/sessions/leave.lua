#!lua flags=allow-oom
-- Ends a session: gives back what it holds, takes out its waiting puts. Ending one that is over is no error.
-- KEYS returned suspects leased handed putters bodies dead dead_index dead_groups sessions lanes ids ids_due results results_due given_up
--   idle settings totals
-- ARGV
--   session    the session's id
--   withdrawn  keys (22 bytes each) of waiting puts to take out
--   names      as of `recover`
-- RETURNS deliveries given back, deliveries still to give back, how many of the names were looked at
-- PARTS clock identity sessions staged processes notify wake line take_out entry answer letter_groups dead_letter put_back receive named
if withdrawn ~= '' then take_out(withdrawn) end
redis.call('ZREM', idle, session)
if not is_live(session) then return {0, 0, 0} end
receive(session)
local batch = named(names)
local held = redis.call('HLEN', leased)
local looked = put_back(batch, 1)
local left = redis.call('HLEN', leased)
if left == 0 then
  redis.call('ZREM', sessions, session)
  forget_process(session)
  forget_staged(session)
end
if held > left then wake_one() end
return {held - left, left, looked}
