#!lua flags=allow-oom,no-writes
-- Reads a lease for those who only watch it: the first of those who hold it and of those who wait, and how often it was granted.
-- KEYS record holders waiting line readers
-- ARGV
--   most  holders at most, and waiters
-- RETURNS now in ms; kind or ''; the name where the keys have a digest of it, else ''; the last token; how often it was granted to read, to
--   write, as a permit; how many hold it; the first ones as (id, deadline in ms, mode, token and since, who); how many wait; the first ones
--   of the readers, and of the others, as (id, ticket), some of which may have gone: those that are in the next list. Nothing where it is not there
-- PARTS clock
local about = redis.call('HMGET', record, 'kind', 'name', 'token', 'granted_r', 'granted_w', 'granted_p')
if not about[3] and redis.call('EXISTS', holders, waiting) == 0 then return {} end
for i = 1, 6 do about[i] = about[i] or '' end
local from, held, gone = string.format('%.0f', now), {}, {}
local all = redis.call('ZRANGEBYSCORE', holders, from, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #all, 2 do
  local granted = redis.call('HMGET', record, all[i], all[i] .. ':who')
  for _, word in ipairs({all[i], all[i + 1], granted[1] or '', granted[2] or ''}) do held[#held + 1] = word end
end
local waits = redis.call('ZCOUNT', waiting, from, '+inf')
local in_order = {{}, {}}
if waits > 0 then
  gone = redis.call('ZRANGEBYSCORE', waiting, '-inf', '(' .. from, 'LIMIT', 0, most)
  for i, key in ipairs({readers, line}) do in_order[i] = redis.call('ZRANGE', key, 0, most + #gone - 1, 'WITHSCORES') end
end
return {from, about, redis.call('ZCOUNT', holders, from, '+inf'), held, waits, in_order[1], in_order[2], gone}
