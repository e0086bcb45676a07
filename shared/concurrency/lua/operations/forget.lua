#!lua flags=allow-oom
-- Ends the time for which an id is known: a put under it adds a message again.
-- KEYS ids ids_due lanes settings
-- ARGV
--   session  the caller's session
--   number   this call's number in its lane; a repetition carries the same
--   id       the caller's id of a message
-- RETURNS 1 if it was known
-- PARTS clock identity level one_effect
local before = answered()
if before then return before end
local expiry = string.match(redis.call('HGET', ids, id) or '', '^%d+')
redis.call('HDEL', ids, id)
redis.call('ZREM', ids_due, id)
-- As when one is recorded: those that nobody forgets go by and by.
local old = redis.call('ZRANGEBYSCORE', ids_due, '-inf', now, 'LIMIT', 0, 10)
if #old > 0 then
  redis.call('HDEL', ids, unpack(old))
  redis.call('ZREM', ids_due, unpack(old))
end
return answer_once({expiry and tonumber(expiry) > now and 1 or 0})
