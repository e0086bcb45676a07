#!lua flags=allow-oom
-- Lists the sessions of a queue, those that are over and not recovered yet included.
-- KEYS sessions lanes
-- RETURNS for each session six: its id, its deadline less now in ms, 1 if it is a consumer service's, 1 if that is
--   to drain, the pid of its process, the host of its process
-- PARTS clock identity consumers processes
local found = redis.call('ZRANGE', sessions, 0, -1, 'WITHSCORES')
local answer = {}
for at = 1, #found, 2 do
  local id = found[at]
  local consumer, drains = consumer_record(owner_of(id))
  answer[#answer + 1] = id
  answer[#answer + 1] = tonumber(found[at + 1]) - now
  answer[#answer + 1] = consumer == id and 1 or 0
  answer[#answer + 1] = consumer == id and drains and 1 or 0
  answer[#answer + 1], answer[#answer + 2] = process_record(id)
end
return answer
