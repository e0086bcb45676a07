#!lua flags=allow-oom
-- Has consumer services drain: each is notified at once, or by its next renewal.
-- KEYS sessions lanes settings
-- ARGV
--   session  the caller's session
--   number   this step's number in its lane; a repetition carries the same
--   owner    the process; empty for all
-- RETURNS the sessions that are to drain, earlier ones included
-- PARTS clock identity level sessions notify consumers one_effect
local before = answered()
if before then return before end
local draining = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', sessions, string.format('%.0f', now), '+inf')) do
  if (owner == '' or owner_of(id) == owner) and consumer_record(owner_of(id)) == id then
    record_consumer(id, true)
    notify(id, 'drain')
    draining[#draining + 1] = id
  end
end
return answer_once(draining)
