#!lua flags=allow-oom
-- Sets the numbers of a limit, or lifts it: its gate opens, and the next take sees who may go. In a queue with a level only.
-- KEYS sessions idle lanes settings
-- FLOW
--   flow gated running opens
-- END
-- ARGV
--   session  the caller's session
--   number   this step's number in its lane; a repetition carries the same
--   gate     `l` and the limit; `s` for the limit of every share
--   at_once  how many may be in hands, 0 for any number
--   rate     interval in us, burst, and for people count and seconds, joined by spaces; '' for none
--   called   what people call it, where it is stored as a digest; else empty
-- RETURNS 1 where there was such a limit
-- PARTS clock identity level sessions notify wake one_effect
local before = answered()
if before then return before end
local existed, words = 0, at_once .. ' ' .. (rate == '' and '0 0 0 0' or rate) .. (called == '' and '' or ' ' .. called)
if not string.find(gate, '^[ls]%S*$') or not string.find(words, '^%d+ %d+ %d+ ') then return redis.error_reply('ERR no limit: ' .. gate) end
-- FLOW
local MOST_OPENED = 1000
local is_of_shares, is_lifted = gate == 's', at_once == '0' and rate == ''
local field = is_of_shares and 's:*' or 'l:' .. string.sub(gate, 2)
-- The gates of all shares, or the one.
local function first_of(key, letter, after)
  local from = after and '(' .. letter .. after .. '!' or '[' .. letter .. gate .. (is_of_shares and '' or ' ')
  return redis.call('ZRANGEBYLEX', key, from, '(' .. letter .. (is_of_shares and 't' or gate .. '!'), 'LIMIT', 0, 1)[1]
end
existed = redis.call('HEXISTS', flow, field)
-- Older data lack it.
redis.call('HSETNX', settings, 'flow', KNOWN_LEVEL)
if not is_lifted then
  redis.call('HSET', flow, field, words, 'limits', 1)
elseif not (first_of(running, 'w') or first_of(running, 'r') or first_of(gated, '0') or first_of(gated, '1')) then
  redis.call('HDEL', flow, field, 't:' .. gate)
elseif existed == 1 then
  -- What is lifted is counted until it is set again: those that it let go give up their places.
  redis.call('HSET', flow, field, words)
end
for _, class in ipairs({'0', '1'}) do
  local first, count = first_of(gated, class), 0
  while first and count < MOST_OPENED do
    local opened = string.match(first, '^%d(%S+) ')
    redis.call('ZADD', opens, now_us, opened)
    first, count = first_of(gated, class, opened), count + 1
  end
end
wake_one()
-- END
return answer_once({existed})
