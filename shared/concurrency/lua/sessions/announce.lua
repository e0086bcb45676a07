#!lua flags=allow-oom
-- Announces which run of the server a connection has reached; must come before any other script on it.
-- KEYS sessions settings
-- ARGV
--   run_id  the server's run_id as the caller saw it
-- RETURNS when the queue became known here, in us
-- PARTS clock identity sessions restart
notice_restart(run_id)
return epoch()
