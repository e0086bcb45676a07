#!lua flags=allow-oom
-- Renews holds that have not expired; never resurrects one that has.
-- KEYS record holders waiting line readers
-- ARGV
--   run_id  the server's run_id as the caller saw it
--   ids     ... the holds
-- RETURNS now in ms, 1 if a writer keeps new readers out, then for each hold its deadline in ms, or 0 when it is lost
-- PARTS clock identity notify lease
prune()
notice_restart(run_id)
local answer = {number(now), closed_to_readers() and 1 or 0}
for _, id in ipairs(ids) do
  local deadline = '0'
  if held_until(id) then
    local ttl = time_to_live(id)
    note_deadline(ttl)
    deadline = number(now + ttl)
    redis.call('ZADD', holders, deadline, id)
  end
  answer[#answer + 1] = deadline
end
advance()
keep(record, holders, waiting, line, readers)
return answer
