#!lua flags=allow-oom
-- Takes back what a dead session held, in its old order, so many deliveries a call.
-- KEYS returned suspects leased handed bodies dead dead_index dead_groups sessions lanes idle joiners ids ids_due results results_due marks
--   settings totals
-- FLOW
--   tails behind passed released line_own delayed flow tags ready line_fair gated running opens
-- END
-- ARGV
--   session  the session to recover
--   names    receipts (45 bytes each) of those to take back, in order; '' for the first 200; `-` likewise, but none where it holds more
--            than 1000
-- RETURNS 'flow' and the level for the plain set in a queue that has one; or deliveries taken back (none where a newer program uses the
--   queue), deliveries still to take back, how many of the names were looked at: until there are 2 MiB; what became
--   a dead letter: as settle_and_take; other sessions that are overdue, 100 at most; dead letters that were discarded
-- PARTS clock identity level sessions staged processes unfinished notify wake
-- FLOW
--   order_key tags ready gates order
-- END
--   entry marks answer letter_groups dead_letter put_back receive named finish
local deadline = redis.call('ZSCORE', sessions, session)
local others = redis.call('ZRANGEBYSCORE', sessions, '-inf', string.format('(%.0f', now), 'LIMIT', 0, 101)
for i, id in ipairs(others) do
  if id == session then table.remove(others, i) end
end
if not deadline or tonumber(deadline) >= now then return {0, 0, 0, {}, others, 0} end
local max_crashes, shut, joining, level = unpack(redis.call('HMGET', settings, 'max_crashes', 'shutdown', 'joining', 'flow'))
if level and KNOWN_LEVEL == 0 then return {'flow', tonumber(level)} end
if level and tonumber(level) > KNOWN_LEVEL then return {0, 0, 0, {}, {}, 0} end
-- Over for ever: a deadline of 0 cannot be renewed, and the last call removes the session.
redis.call('ZADD', sessions, 0, session)
redis.call('ZREM', idle, session)
receive(session)
local batch = named(names)
local held = redis.call('HLEN', leased)
local looked = put_back(batch, 1, max_crashes or 5)
local left = redis.call('HLEN', leased)
if left == 0 then
  redis.call('ZREM', sessions, session)
  forget_process(session)
  forget_staged(session)
end
if held > left then
  redis.call('HINCRBY', totals, 'recovered', held - left)
  wake_one()
  notify_if_finished(shut, joining)
end
return {held - left, left, looked, died, others, discarded}
