#!lua
-- Stages puts that are too many for the acknowledgement that they travel with: they wait for it in a fold, which nobody sees, and
-- which goes with the session. Refused when memory is full (no allow-oom). May be repeated.
-- KEYS bodies sessions lanes totals
-- ARGV
--   session  the caller's session at this queue
--   fold     the key of the fold: `*` and 21 characters, unique as those of entries are
--   entries  ... the entries, without their stamp; 500 at most
-- RETURNS 1; 0 where the session is over: nothing is staged
-- PARTS clock identity sessions staged
if not is_live(session) then return 0 end
local counts, keys = staged_by(session)
-- It may be a call that comes late, on a connection that was dropped: what is in the line by now is staged no more.
if counts[fold] or redis.call('HEXISTS', bodies, fold) == 1 then return 1 end
local body = {'*' .. owner_of(session) .. ' ' .. string.format('%05d', #entries)}
for _, outgoing in ipairs(entries) do
  body[#body + 1] = string.format('%08d', #outgoing)
  body[#body + 1] = outgoing
end
redis.call('HSET', bodies, fold, table.concat(body))
redis.call('HINCRBY', totals, 'folded', -1)
counts[fold], keys[#keys + 1] = #entries, fold
record_staged(session, counts, keys)
return 1
