#!lua flags=allow-oom
-- Ends a session: gives back what it holds, takes out its waiting puts. Ending one that is over is no error.
-- KEYS returned suspects leased handed putters bodies dead dead_index sessions lanes ids ids_due results results_due given_up
--   idle settings totals
-- ARGV
--   session    the session's id
--   withdrawn  keys (22 bytes each) of waiting puts to take out
-- RETURNS deliveries given back, deliveries still to give back
-- PARTS clock identity sessions processes notify wake line take_out entry answer dead_letter put_back receive
if withdrawn ~= '' then take_out(withdrawn) end
redis.call('ZREM', idle, session)
if not is_live(session) then return {0, 0} end
receive(session)
local receipts = redis.call('HKEYS', leased)
table.sort(receipts)
local batch = {unpack(receipts, 1, math.min(200, #receipts))}
put_back(batch)
if #batch == #receipts then
  redis.call('ZREM', sessions, session)
  forget_process(session)
end
if #batch > 0 then wake_one() end
return {#batch, #receipts - #batch}
