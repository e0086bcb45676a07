#!lua flags=allow-oom
-- Takes back what a dead session held: at most 200 deliveries a call, in their old order.
-- KEYS returned suspects leased handed dead dead_index sessions lanes idle joiners ids ids_due results results_due given_up
--   settings totals
-- ARGV
--   session  the session to recover
-- RETURNS deliveries taken back, deliveries still to take back, what became a dead letter: as settle_and_take
-- PARTS clock identity sessions processes unfinished notify wake entry answer dead_letter put_back receive finish
local deadline = redis.call('ZSCORE', sessions, session)
if not deadline or tonumber(deadline) >= now then return {0, 0, {}} end
-- Over for ever: a deadline of 0 cannot be renewed, and the last call removes the session.
redis.call('ZADD', sessions, 0, session)
redis.call('ZREM', idle, session)
receive(session)
local receipts = redis.call('HKEYS', leased)
table.sort(receipts)
local batch = {unpack(receipts, 1, math.min(200, #receipts))}
put_back(batch, most_crashes(redis.call('HGET', settings, 'max_crashes')))
if #batch == #receipts then
  redis.call('ZREM', sessions, session)
  forget_process(session)
end
if #batch > 0 then
  redis.call('HINCRBY', totals, 'recovered', #batch)
  wake_one()
  local stored = redis.call('HMGET', settings, 'shutdown', 'joining')
  notify_if_finished(stored[1], stored[2])
end
return {#batch, #receipts - #batch, died}
