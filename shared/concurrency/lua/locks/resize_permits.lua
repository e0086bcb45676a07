#!lua flags=allow-oom
-- Changes how many permits a semaphore has, and grants what has become free. After a shrink nobody loses a permit.
-- KEYS record holders waiting line readers
-- ARGV
--   limit   the new number of permits
--   called  what people call it, where its keys have a digest of that; else empty
--   seen    how often it was resized so far; empty to ask. What has been resized since is not resized again, for this may
--           be the repetition of a call that ran
--   run_id  the server's run_id as the caller saw it
-- RETURNS how often it was resized; or the other kind that is in use
-- PARTS clock identity notify lease
prune()
notice_restart(run_id)
local wanted, resized = 'limit ' .. limit, stored[11] or '0'
if not is_kind(wanted) and redis.call('EXISTS', holders, waiting) > 0 then return kind end
if seen ~= resized then return tonumber(resized) end
kind, stored[11] = wanted, number(tonumber(resized) + 1)
redis.call('HSET', record, 'kind', kind, 'resized', stored[11])
if called ~= '' then redis.call('HSET', record, 'name', called) end
advance()
keep(record)
if grants > 0 then keep(holders) end
return tonumber(stored[11])
