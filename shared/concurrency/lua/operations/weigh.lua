#!lua flags=allow-oom
-- Gives a share a weight: its messages cost that much less from here on. The queue needs a level before, see `register`.
-- KEYS lanes settings flow
-- ARGV
--   session  the caller's session
--   number   this step's number in its lane; a repetition carries the same
--   share    as it is stored
--   weight   above 0; 1 for none
-- RETURNS 1 if it is another one than before
-- PARTS clock identity level one_effect
local before = answered()
if before then return before end
local field, known = 'w:' .. share, redis.call('HGET', flow, 'w:' .. share)
if tonumber(weight) == 1 then
  if known then
    redis.call('HDEL', flow, field)
    if redis.call('HINCRBY', flow, 'weights', -1) <= 0 then redis.call('HDEL', flow, 'weights') end
  end
else
  redis.call('HSET', flow, field, weight)
  if not known then redis.call('HINCRBY', flow, 'weights', 1) end
end
return answer_once({tonumber(known or 1) == tonumber(weight) and 0 or 1})
