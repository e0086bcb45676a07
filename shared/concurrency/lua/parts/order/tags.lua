-- Start tags, of the flow set: fair shares and priorities are one mechanism. Whoever is served goes by tags. That of an entry is
-- max(V, the next tag of its flow), and the next one of the flow is later by what the entry costs; V is the tag of what was served
-- last. The default flow has no tags: it stays in lists, and F is its next one. There are two such times: of what may go (`ready`, V
-- and F) and of the line (`line_fair`, LV and LF; the flows are called LP SHARE in `tags`).
-- `w:SHARE` of `flow` is the weight of a share, and `weights` says that there is one.
do
local COST = {['0'] = 1, ['1'] = 8, ['2'] = 64}
local COST_OF_BYTE = {[48] = 1, [49] = 8, [50] = 64}
order.COST_OF_DEFAULT = 8
-- What an entry that has a tag costs without a weight, by its PRIORITY.
function order.cost_of_entry(entry) return COST_OF_BYTE[string.byte(entry, 62)] or order.COST_OF_DEFAULT end
-- What has been delivered before stands behind these in `ready`, by its tag.
order.AGAIN = 1e15
order.going, order.waiting = {prefix = ''}, {prefix = 'L'}

function order.forget_times() order.going, order.waiting = {prefix = ''}, {prefix = 'L'} end

function order.load_time(time)
  if time.V then return end
  local stored = redis.call('HMGET', flow, time.prefix .. 'V', time.prefix .. 'F', 'weights')
  time.V, time.F, time.has_weights = tonumber(stored[1] or 0), tonumber(stored[2] or 0), stored[3]
  time.tag_of, time.cost_of = {}, {}
end

local function look_up(time, flows)
  local unknown, fields = {}, {}
  for _, name in ipairs(flows) do
    if not time.tag_of[name] then
      time.tag_of[name], unknown[#unknown + 1], fields[#fields + 1] = 0, name, time.prefix .. name
    end
  end
  if #unknown == 0 then return end
  for i, tag in ipairs(redis.call('HMGET', tags, unpack(fields))) do
    time.tag_of[unknown[i]], time.cost_of[unknown[i]] = tonumber(tag or 0), COST[string.sub(unknown[i], 1, 1)]
  end
  if not time.has_weights then return end
  for i, name in ipairs(unknown) do fields[i] = 'w:' .. string.sub(name, 3) end
  for i, weight in ipairs(redis.call('HMGET', flow, unpack(fields))) do
    time.cost_of[unknown[i]] = time.cost_of[unknown[i]] / tonumber(weight or 1)
  end
end

-- What an entry of a flow costs.
function order.cost_of(name)
  order.load_time(order.going)
  local weight = order.going.has_weights and redis.call('HGET', flow, 'w:' .. string.sub(name, 3))
  return COST[string.sub(name, 1, 1)] / tonumber(weight or 1)
end

-- Adds members of these flows to KEY, each at its tag and OFFSET: 1000 at most.
function order.add_tagged(time, key, members, flows, offset)
  order.load_time(time)
  look_up(time, flows)
  local pairs_to_add, changed, V, tag_of, cost_of = {}, {}, time.V, time.tag_of, time.cost_of
  for i = 1, #members do
    local name = flows[i]
    local tag = tag_of[name]
    if tag < V then tag = V end
    tag_of[name], changed[name] = tag + cost_of[name], true
    pairs_to_add[2 * i - 1], pairs_to_add[2 * i] = tag + offset, members[i]
  end
  local fields = {}
  for name in pairs(changed) do
    fields[#fields + 1] = time.prefix .. name
    fields[#fields + 1] = tag_of[name]
  end
  redis.call('HSET', tags, unpack(fields))
  redis.call('ZADD', key, unpack(pairs_to_add))
  order.has_added = true
end

-- COUNT of the default flow are served.
function order.serve_default(time, count)
  order.load_time(time)
  local tag = math.max(time.V, time.F)
  time.V, time.F, time.is_changed = tag + order.COST_OF_DEFAULT * (count - 1), tag + order.COST_OF_DEFAULT * count, true
  order.has_touched = true
end

-- COUNT of the line are served, the last of them under this tag. Time goes on by itself, too: each flow that is new begins where it is,
-- and without end those would go before what stands under a later tag. By what was served, shared by as many as there are, it goes on
-- no faster than all of them get their turns.
function order.serve_line(tag, count)
  local time = order.waiting
  order.load_time(time)
  time.V, time.is_changed = math.max(time.V, tag) + count / (redis.call('ZCARD', line_fair) + count + 1), true
  order.has_touched = true
end

-- Keeps how far the times are, once somebody was served (HAS_TOUCHED); where nothing is left under a tag, they begin anew.
function order.keep_times()
  if not order.has_touched then return end
  order.has_touched = false
  local count = redis.call('ZCARD', ready) + redis.call('ZCARD', line_fair) + redis.call('ZCARD', gated)
  if count == 0 then
    redis.call('UNLINK', tags)
    redis.call('HDEL', flow, 'V', 'F', 'LV', 'LF', 'scan')
    order.forget_times()
    return
  end
  for _, time in ipairs({order.going, order.waiting}) do
    if time.is_changed then redis.call('HSET', flow, time.prefix .. 'V', time.V, time.prefix .. 'F', time.F) end
    time.is_changed = false
  end
  if redis.call('HLEN', tags) <= 2 * count + 100 then return end
  -- Flows that have gone: a tag that is no later than V says nothing.
  order.load_time(order.going)
  order.load_time(order.waiting)
  local cursor, gone = redis.call('HGET', flow, 'scan') or '0', {}
  local page = redis.call('HSCAN', tags, cursor, 'COUNT', 50)
  for i = 1, #page[2], 2 do
    local kind, V = string.byte(page[2][i]), order.going.V
    if kind == 76 then V = order.waiting.V elseif kind == 71 then V = order.time_of_gate and order.time_of_gate(page[2][i]) or -1 end
    if tonumber(page[2][i + 1]) <= V then gone[#gone + 1] = page[2][i] end
  end
  if #gone > 0 then redis.call('HDEL', tags, unpack(gone)) end
  redis.call('HSET', flow, 'scan', page[1])
end
end
