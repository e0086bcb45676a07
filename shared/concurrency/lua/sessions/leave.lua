#!lua flags=allow-oom
-- Ends a session: gives back what it holds, takes out its waiting puts. Ending one that is over is no error.
-- KEYS returned suspects leased handed putters bodies dead dead_index dead_groups sessions lanes ids ids_due results results_due marks
--   idle settings totals
-- FLOW
--   tails behind passed released line_own let_in delayed flow tags ready line_fair gated running opens
-- END
-- ARGV
--   session    the session's id
--   withdrawn  keys (22 bytes each) of waiting puts to take out, and of those let in that the caller has not confirmed
--   names      as of `recover`
-- RETURNS 'flow' and the level for the plain set in a queue that has one; or deliveries given back, deliveries still to give back, how many of the names were looked at
-- PARTS clock identity level sessions staged processes notify wake
-- FLOW
--   order_key tags ready gates order own_places forget_let_in
--   once_line
-- END
--   line take_out entry marks answer letter_groups dead_letter put_back receive named
local level = redis.call('HGET', settings, 'flow')
if level and KNOWN_LEVEL == 0 then return {'flow', tonumber(level)} end
-- The process calls no more, and a call of it that runs late names a session that is over: its records guard nothing.
local function forget_owner()
  local owner = owner_of(session)
  redis.call('HDEL', lanes, owner .. ':put', owner .. ':take', owner .. ':line', owner .. ':effects', owner .. ':consumer')
end
if withdrawn ~= '' then take_out(withdrawn) end
-- FLOW
order.forget_let_in(withdrawn)
-- END
redis.call('ZREM', idle, session)
if not is_live(session) then
  forget_owner()
  return {0, 0, 0}
end
receive(session)
local batch = named(names)
local held = redis.call('HLEN', leased)
local looked = put_back(batch, 1)
local left = redis.call('HLEN', leased)
if left == 0 then
  redis.call('ZREM', sessions, session)
  forget_process(session)
  forget_staged(session)
  forget_owner()
end
if held > left then wake_one() end
return {held - left, left, looked}
