#!lua flags=allow-oom
-- Registers a session with a queue, and the queue's settings where none are stored yet.
-- KEYS sessions settings lanes pending returned suspects delayed leased handed putters bodies dead dead_index dead_groups idle
--   joiners ids ids_due totals results results_due marks
-- FLOW
--   flow tags tails behind passed released ready gated running opens line_fair line_own let_in once
-- END
-- ARGV
--   session       the session's id
--   fresh         1 for a new session; 0 to store settings only
--   maxsize       bound in messages, 0 for none, empty to take the stored one
--   max_attempts  failures until a message is a dead letter, empty to take the stored one
--   max_crashes   crashes until a message is a dead letter, 0 for never, empty to take the stored one
--   max_dead      dead letters that are kept, empty to take the stored number
--   dead_for      how long each is kept, in ms, empty to take the stored time
--   run_id        the server's run_id as the caller saw it
--   keep_ms       how long an unused record of a lane is kept, in ms
--   consumer      1 when the process is a consumer service, which `drain` may notify
--   pid           the process's id at its host, 0 for none
--   host          the name of its host, may be empty
--   level         the protocol level that the caller needs the queue to have, 0 for none: it is raised, and never lowered
-- RETURNS now in ms, deadline in ms, stored maxsize, stored max_attempts, stored max_crashes, stored max_dead and dead_for or 0, when the
--   queue became known here in us, its protocol level, 0 for none
-- PARTS clock identity sessions notify consumers processes restart steady
local MOST_FORMER, MOST_LOOKED_AT, MOST_PRUNED, MOST_WOKEN = 20, 20, 100, 1000
local kinds = {
  list = {
    pending, returned, suspects, putters,
    -- FLOW
    released,
    -- END
  },
  hash = {
    settings, lanes, leased, handed, bodies, dead, dead_groups, ids, totals, results,
    -- FLOW
    flow, tags, tails, behind, passed, once,
    -- END
  },
  zset = {
    sessions, delayed, dead_index, idle, joiners, ids_due, results_due, marks,
    -- FLOW
    ready, gated, running, opens, line_fair, line_own, let_in,
    -- END
  },
}
for kind, keys in pairs(kinds) do
  for _, key in ipairs(keys) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then return redis.error_reply('WRONGTYPE ' .. key .. ' holds a ' .. found) end
  end
end
notice_restart(run_id)
keep_clock()
local deadline = now + time_to_live(session)
if fresh == '1' then
  redis.call('ZADD', sessions, deadline, session)
  record_process(session, pid, host)
  -- Nothing may be handed to a session that its process has left behind: one of the last few, for each takes the one before.
  local start, life, ttl = string.match(session, '^(.*%.)(%d+)(%.%d+)$')
  for before = math.max(1, (tonumber(life) or 0) - MOST_FORMER), (tonumber(life) or 0) - 1 do
    local id = start .. string.format('%.0f', before) .. ttl
    redis.call('ZREM', idle, id)
    if redis.call('HGET', handed, id) == '' then redis.call('HDEL', handed, id) end
  end
end
if maxsize ~= '' then redis.call('HSETNX', settings, 'maxsize', maxsize) end
if max_attempts ~= '' then redis.call('HSETNX', settings, 'max_attempts', max_attempts) end
if max_crashes ~= '' then redis.call('HSETNX', settings, 'max_crashes', max_crashes) end
if max_dead ~= '' then redis.call('HSETNX', settings, 'max_dead', max_dead) end
if dead_for ~= '' then redis.call('HSETNX', settings, 'dead_for', dead_for) end
local stored_level = tonumber(redis.call('HGET', settings, 'flow') or 0)
if tonumber(level or 0) > stored_level then
  stored_level = tonumber(level)
  redis.call('HSET', settings, 'flow', level)
  -- None that is idle may be handed a message, or woken, that takes nothing here any more: all look again, the first ones now.
  local first = redis.call('ZPOPMIN', idle, MOST_WOKEN)
  for i = 1, #first, 2 do notify(first[i], 'wake') end
  redis.call('DEL', idle)
end
if consumer == '1' then
  local _, drains = consumer_record(owner_of(session))
  record_consumer(session, drains)
end
-- What nobody needs any more goes bit by bit: a call looks at so many records, whichever, and more go than can come.
local records = redis.call('HRANDFIELD', lanes, MOST_LOOKED_AT, 'WITHVALUES')
for i = 1, #records, 2 do
  local unused = tonumber(string.match(records[i + 1], '^%d+')) < now - keep_ms
  if unused and not is_process_of_session(records[i]) then redis.call('HDEL', lanes, records[i]) end
end
local old = redis.call('ZRANGEBYSCORE', ids_due, '-inf', string.format('%.0f', now), 'LIMIT', 0, MOST_PRUNED)
if #old > 0 then
  redis.call('HDEL', ids, unpack(old))
  redis.call('ZREM', ids_due, unpack(old))
end
local stored = redis.call('HMGET', settings, 'maxsize', 'max_attempts', 'max_crashes', 'max_dead', 'dead_for')
for i, usual in ipairs({0, 5, 5, 0, 0}) do stored[i] = tonumber(stored[i] or usual) end
return {now, deadline, stored[1], stored[2], stored[3], stored[4], stored[5], epoch(), stored_level}
