#!lua flags=allow-oom
-- Announces which run of the server a connection has reached; must come before any other script on it.
-- KEYS sessions settings lanes
-- ARGV
--   run_id  the server's run_id as the caller saw it
--   owner   the caller's owner id; may be empty
-- RETURNS when the queue became known here, in us; the number of the owner's last put call that is known here, 0 for none
-- PARTS clock identity sessions restart
notice_restart(run_id)
local record = owner ~= '' and redis.call('HGET', lanes, owner .. ':put')
return {epoch(), tonumber(record and string.match(record, '^%d+ (%d+)') or 0)}
