#!lua flags=allow-oom
-- Ends holds by hand, whosever they are, and grants what has become free. Their processes are notified.
-- KEYS record holders waiting line readers
-- ARGV
--   run_id  the server's run_id as the caller saw it
--   ids     ... the holds, a few hundred at most
-- RETURNS those of them that were there
-- PARTS clock identity notify lease
prune()
notice_restart(run_id)
local ended = {}
for _, id in ipairs(ids) do
  if redis.call('ZSCORE', holders, id) then
    notify(id, 'broken', id)
    forget_holder(id)
    ended[#ended + 1] = id
  end
end
advance()
keep(record)
if grants > 0 then keep(holders) end
return ended
