#!lua flags=allow-oom
-- Sets an event and notifies those who wait, or clears it, or deletes it. A set event is kept until then, a cleared one
-- rests for a week.
-- KEYS event watchers calls
-- ARGV
--   value     1 to set, 0 to clear, '' to delete
--   called    what people call it, where its keys have a digest of that; else empty
--   call      the id of this call: sent again it has no other effect
--   answered  the id of a call whose answer has come, or ''
-- RETURNS nothing
-- PARTS clock identity notify calls
if ran_before() then return nil end
note_call()
if value == '' then
  redis.call('DEL', event)
  return nil
end
if redis.call('HGET', event, 'set') == value then return nil end
redis.call('HSET', event, 'set', value)
if called ~= '' then redis.call('HSET', event, 'name', called) end
if value == '0' then
  redis.call('PEXPIRE', event, 604800000)
else
  redis.call('PERSIST', event)
  -- Past the clock: so it grows though the server has forgotten the last ones.
  local generation = math.max(now_us, tonumber(redis.call('HGET', event, 'generation') or 0) + 1)
  redis.call('HSET', event, 'generation', string.format('%.0f', generation))
  for _, owner in ipairs(redis.call('ZRANGE', watchers, 0, -1)) do notify(owner, 'event') end
  redis.call('DEL', watchers)
end
return nil
