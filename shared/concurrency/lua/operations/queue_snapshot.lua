#!lua flags=allow-oom,no-writes
-- Reads a queue for those who only watch it: its counts, its dead letters by reason and class, its sessions, some of its shares.
-- KEYS pending returned suspects delayed bodies dead dead_index dead_groups settings totals sessions lanes handed
-- FLOW
--   behind passed released ready gated flow tags line_fair
-- END
-- ARGV
--   most    sessions at most, 1000 or fewer
-- FLOW
--   cursor  where to go on with the shares: what the call before returned; 0 to begin
-- END
-- RETURNS now in ms; as `statistics`; groups of dead letters, each followed by its count; how many sessions there are; the first ones, each
--   followed by its deadline in ms; for each what `lanes` has of it under OWNER:consumer, SESSION:process and SESSION:load; for each what it
--   was handed and has not confirmed; of its shares where to go on, 0 at the end, how many of those read have something that waits, the age
--   of the first message of the largest in us, -1 for unknown, and the largest, each as four: PRIORITY SHARE, messages, puts, weight. Nothing
--   where the queue is not there
-- PARTS clock identity counts
-- FLOW
--   order_key largest_shares
-- END
if redis.call('EXISTS', settings) == 0 then return {} end
local found, fields, ids = redis.call('ZRANGE', sessions, 0, most - 1, 'WITHSCORES'), {}, {}
for at = 1, #found, 2 do
  local id, last = found[at], #fields
  ids[#ids + 1] = id
  fields[last + 1], fields[last + 2], fields[last + 3] = owner_of(id) .. ':consumer', id .. ':process', id .. ':load'
end
local records = #ids > 0 and redis.call('HMGET', lanes, unpack(fields)) or {}
local received = #ids > 0 and redis.call('HMGET', handed, unpack(ids)) or {}
local counts = counts_of_queue()
local groups = counts[4] > 0 and redis.call('HGETALL', dead_groups) or {}
local session_count = #ids < tonumber(most) and #ids or redis.call('ZCARD', sessions)
local shares = {'0', 0, -1, {}}
-- FLOW
shares = largest_shares(cursor)
-- END
return {now, counts, groups, session_count, found, records, received, shares}
