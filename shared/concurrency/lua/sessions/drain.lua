#!lua flags=allow-oom
-- Tells consumer services to drain; each hears of it at once, or at its next renewal.
-- KEYS sessions lanes
-- ARGV
--   owner  the process to tell; empty for all
-- RETURNS the sessions told, those told before included
-- PARTS clock identity sessions notify consumers
local told = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', sessions, string.format('%.0f', now), '+inf')) do
  if (owner == '' or owner_of(id) == owner) and consumer_record(owner_of(id)) == id then
    record_consumer(id, true)
    notify(id, 'drain')
    told[#told + 1] = id
  end
end
return told
