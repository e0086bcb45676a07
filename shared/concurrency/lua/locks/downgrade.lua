#!lua flags=allow-oom
-- Turns a write hold into a read hold, under the same token, and lets in the readers that wait.
-- KEYS record holders waiting line readers
-- ARGV
--   id      the hold's id
--   run_id  the server's run_id as the caller saw it
-- RETURNS 'downgraded', now in ms, deadline in ms, 1 if a writer keeps new readers out, 1 if there is more to grant: call again; or
--   'unknown' when it is lost
-- PARTS clock identity notify lease
prune()
notice_restart(run_id)
local deadline, held = held_until(id), redis.call('HGET', record, id)
if not (deadline and held) then return {'unknown'} end
redis.call('HSET', record, id, 'r' .. string.sub(held, 2), 'phase', 'r')
if kind ~= 'fair' then
  advance()
elseif quiet_until <= now then
  -- As behind a writer that leaves: the readers that wait go in together, before the next writer.
  admit_readers()
end
return {'downgraded', number(now), number(deadline), closed_to_readers() and 1 or 0, unfinished and 1 or 0}
