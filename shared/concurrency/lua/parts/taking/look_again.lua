-- When a session looks again, in ms, at the latest; a session to recover or ''; how many messages are ready; and when the next
-- delayed one is due, if that is sooner than whoever is idle looks again.
-- Whoever has not waited for long looks sooner, by itself.
local LOOK_MS = 5000
local function look_ahead()
  local ready = redis.call('LLEN', pending) + redis.call('LLEN', returned) + redis.call('LLEN', suspects)
  -- FLOW
  -- What stands behind another of its key may not go.
  ready = ready + order.count_beside_pending()
  -- END
  local look_again, overdue, due_soon = LOOK_MS, '', nil
  local first = redis.call('ZRANGE', sessions, 0, 0, 'WITHSCORES')
  if first[1] and tonumber(first[2]) < now then
    overdue = first[1]
  elseif first[1] then
    look_again = math.min(look_again, tonumber(first[2]) - now + 1)
  end
  local due = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if due[1] and tonumber(due[2]) <= steady_now then
    ready = ready + 1
  elseif due[1] then
    look_again = math.min(look_again, math.max(1, tonumber(due[2]) - steady_now))
    if tonumber(due[2]) < steady_now + LOOK_MS then due_soon = tonumber(due[2]) end
  end
  return look_again, overdue, ready, due_soon
end
