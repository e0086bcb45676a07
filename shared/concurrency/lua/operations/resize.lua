#!lua flags=allow-oom
-- Changes the bound; admits waiting puts where there is room now.
-- KEYS pending returned suspects delayed putters bodies sessions idle lanes ids ids_due settings totals
-- ARGV
--   maxsize  the new bound in messages, 0 for none
-- RETURNS how many waiting puts were admitted
-- PARTS clock identity sessions room notify wake ids stamp putter_record admit
redis.call('HSET', settings, 'maxsize', maxsize)
local count = admit(room(tonumber(maxsize)))
if count > 0 then wake_one() end
return count
