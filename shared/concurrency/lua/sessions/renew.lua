#!lua flags=allow-oom
-- Renews a session that is live; never resurrects one that is over.
-- Discards old dead letters where the queue has a limit for them.
-- KEYS sessions lanes dead dead_index dead_groups settings totals
-- ARGV
--   session   the session's id
--   measured  what a consumer service says of itself, as JSON; '' for nothing
-- RETURNS 1 renewed or 0 over, now in ms, deadline in ms, 1 if the process is to drain
-- PARTS clock identity sessions notify consumers processes steady letter_groups discard_oldest
-- The clock went back: no deadline may be further away than its session's time to live.
local far = redis.call('ZREVRANGEBYSCORE', sessions, '+inf', '(' .. (now + time_to_live(session)), 'WITHSCORES', 'LIMIT', 0, 500)
for i = 1, #far, 2 do
  local latest = now + time_to_live(far[i])
  if tonumber(far[i + 1]) > latest then redis.call('ZADD', sessions, latest, far[i]) end
end
if not is_live(session) then return {0, now, 0, 0} end
keep_clock()
local deadline = now + time_to_live(session)
redis.call('ZADD', sessions, deadline, session)
local consumer, drains = consumer_record(owner_of(session))
if consumer == session then record_consumer(session, drains) end
if measured and measured ~= '' then record_load(session, measured) end
local discarded = discard_oldest(200)
if discarded > 0 then notify(session, 'discarded', discarded) end
return {1, now, deadline, drains and 1 or 0}
