-- A server that came back has made every session miss its renewals: all get one more time to live.
-- Who does not know the run says `?`, and changes nothing.
local function notice_restart(run_id)
  if string.byte(run_id) == 63 then return end
  local before = redis.call('HGET', settings, 'run_id')
  if before == run_id then return end
  redis.call('HSET', settings, 'run_id', run_id)
  if not before then return end
  local all = redis.call('ZRANGE', sessions, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local deadline = tonumber(all[i + 1])
    -- 0 marks a session that was declared over and is being recovered
    if deadline > 0 then redis.call('ZADD', sessions, math.max(deadline, now + time_to_live(all[i])), all[i]) end
  end
end

-- When the queue became known here, in microseconds: another one than before says that the server has forgotten it since.
local function epoch()
  local known = redis.call('HGET', settings, 'epoch')
  if known then return known end
  redis.call('HSET', settings, 'epoch', string.format('%.0f', now_us))
  return string.format('%.0f', now_us)
end
