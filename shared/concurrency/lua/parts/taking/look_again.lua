-- When a session looks again, in ms, at the latest; a session to recover or ''; and how many messages are ready.
local function look_ahead()
  local fresh, later = waiting()
  local look_again, overdue = 1000, ''
  local first = redis.call('ZRANGE', sessions, 0, 0, 'WITHSCORES')
  if first[1] and tonumber(first[2]) < now then
    overdue = first[1]
  elseif first[1] then
    look_again = math.min(look_again, tonumber(first[2]) - now + 1)
  end
  local ready = fresh + redis.call('LLEN', returned) + redis.call('LLEN', suspects)
  if later > 0 then
    local due = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    if due[1] and tonumber(due[2]) <= now then
      ready = ready + 1
    elseif due[1] then
      look_again = math.min(look_again, math.max(1, tonumber(due[2]) - now))
    end
  end
  return look_again, overdue, ready
end
