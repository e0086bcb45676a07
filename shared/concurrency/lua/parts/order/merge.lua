-- What is taken next where there is more than one list, of the flow set: the default flow (`pending` and `released`, the older first)
-- and `ready`, by tags; of equal tags the older goes first.
do
local fresh, freed, tagged, again = {}, {}, {}, {}
local counts, standing = {}, 0

local function age(entry) return string.sub(entry, 1, 38) end

-- The first MOST, as far as they are read. Sets how many that are of each list, and where the time is behind them.
local function pick(most)
  local time, found = order.going, {}
  local V, F, has_tags = time.V, time.F, tagged[1] or again[1]
  -- See `order.serve_line`: time goes on by itself, too.
  local part = has_tags and 1 / (standing + 1)
  local i, j, k, m = 1, 1, 1, 1
  while #found < most do
    local head, is_freed, head_age = fresh[i], false, nil
    if freed[j] and (not head or age(freed[j]) < age(head)) then head, is_freed = freed[j], true end
    local best, tag, is_again = tagged[k], tagged[k] and tonumber(tagged[k + 1]), false
    if again[m] then
      local again_tag = tonumber(again[m + 1]) - order.AGAIN
      if not best or again_tag < tag or again_tag == tag and age(again[m]) < age(best) then
        best, tag, is_again = again[m], again_tag, true
      end
    end
    if not head and not best then break end
    local default = head and has_tags and math.max(V, F)
    if not best or head and (default < tag or default == tag and age(head) < age(best)) then
      found[#found + 1] = head
      if is_freed then j = j + 1 else i = i + 1 end
      if default then V, F = default + part * order.COST_OF_DEFAULT, default + order.COST_OF_DEFAULT end
    else
      found[#found + 1] = best
      if is_again then m = m + 2 else k = k + 2 end
      V = math.max(V, tag) + part * order.cost_of_entry(best)
    end
  end
  counts = {fresh = i - 1, freed = j - 1, tagged = (k - 1) / 2, again = (m - 1) / 2, V = V, F = F}
  return found
end

-- Reads the first MOST.
function order.first_of_all(most)
  order.has_added = false
  fresh, freed = redis.call('LRANGE', pending, 0, most - 1), redis.call('LRANGE', released, 0, most - 1)
  tagged, again = redis.call('ZRANGE', ready, 0, most - 1, 'WITHSCORES'), {}
  if tagged[1] then
    order.load_time(order.going)
    standing = redis.call('ZCARD', ready)
    again = redis.call('ZRANGEBYSCORE', ready, order.AGAIN, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
    for at = #tagged - 1, 1, -2 do
      if tonumber(tagged[at + 1]) < order.AGAIN then break end
      tagged[at], tagged[at + 1] = nil, nil
    end
    for at = 1, #again, 2 do
      -- A call may not take what it gives back.
      if order.has_come_back[again[at]] then again = {unpack(again, 1, at - 1)} break end
    end
  end
  return pick(most)
end

-- The first COUNT of those were taken.
function order.remove_first(count, of)
  if count < of then pick(count) end
  redis.call('LTRIM', released, counts.freed, -1)
  redis.call('LTRIM', pending, counts.fresh, -1)
  -- Where one was let go meanwhile, it may stand before these.
  if counts.tagged > 0 and not order.has_added then redis.call('ZREMRANGEBYRANK', ready, 0, counts.tagged - 1) end
  if counts.again > 0 or counts.tagged > 0 and order.has_added then
    local gone = {}
    if order.has_added then
      for at = 1, 2 * counts.tagged, 2 do gone[#gone + 1] = tagged[at] end
    end
    for at = 1, 2 * counts.again, 2 do gone[#gone + 1] = again[at] end
    redis.call('ZREM', ready, unpack(gone))
  end
  if counts.V ~= order.going.V or counts.F ~= order.going.F then
    order.going.V, order.going.F, order.going.is_changed = counts.V, counts.F, true
    order.has_touched = true
  end
  if counts.tagged + counts.again > 0 then order.has_touched = true end
end
end
