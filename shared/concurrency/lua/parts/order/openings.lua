-- What takes do with gates, of the flow set: a delivery spends a token, and a take opens the gates whose time has come.
do
local function message_of(entry) return string.sub(entry, 17, 38) end
local function may_be_held(state)
  return (state.at_once == 0 or state.held < state.at_once) and (state.interval == 0 or gates.tokens(state) >= 1)
end

-- Of shares that rest nothing is kept: some are looked at for each that is written.
local function forget_rested(gate)
  if string.byte(gate) ~= 115 then return end
  local some = redis.call('HRANDFIELD', flow, 5, 'WITHVALUES')
  for at = 1, #some, 2 do
    local tat = string.match(some[at], '^t:s') and string.match(some[at + 1], '^%d+')
    if tat and tonumber(tat) <= now_us then redis.call('HDEL', flow, some[at]) end
  end
end

-- Whether an entry may be delivered: it had its place, but the numbers may be smaller by now, or newer than it; then it stands at the gate.
-- `order.delivered` behind it writes both.
function order.is_delivered(entry)
  local first, second = gates.of(entry, 49)
  if not first then return true end
  local both, closed = {first, second}, nil
  for _, state in ipairs(both) do
    if not may_be_held(state) then closed = closed or state end
  end
  if closed then gates.stand(closed, entry, string.sub(entry, 40, 45) == '000000' and '1' or '0', string.rep('0', 16)) end
  for _, state in ipairs(both) do
    table.insert(closed and state.left or state.handing, message_of(entry))
    state.is_changed = true
    if not closed then
      state.held = state.held + 1
      order.delivered_count = order.delivered_count + 1
      if state.interval > 0 then state.tat = math.max(state.tat, now_us) + state.interval end
    end
  end
  return closed == nil
end

-- How many this script has delivered that have a gate: each is the work of several.
order.delivered_count = 0

function order.delivered()
  order.write_gates()
  for _, state in gates.each() do
    if state and state.is_changed then
      local held, ready = {}, {}
      for _, message in ipairs(state.handing) do
        held[#held + 1] = 0
        held[#held + 1] = 'r' .. state.gate .. ' ' .. message
        ready[#ready + 1] = 'w' .. state.gate .. ' ' .. message
      end
      for _, message in ipairs(state.left) do ready[#ready + 1] = 'w' .. state.gate .. ' ' .. message end
      if #held > 0 then redis.call('ZADD', running, unpack(held)) end
      local of_ready = redis.call('ZREM', running, unpack(ready))
      if rawget(state, 'ready') then state.ready = state.ready - of_ready end
      if #held > 0 and state.interval > 0 then
        gates.keep_times(state)
        forget_rested(state.gate)
      end
      state.handing, state.left, state.is_changed = {}, {}, nil
      order.has_running, state.touched = true, nil
      if state.interval > 0 and state.standing > 0 then gates.note_opening(state) end
    end
  end
end

-- Opens the gates whose time has come.
function order.open_due()
  for _, gate in ipairs(redis.call('ZRANGEBYSCORE', opens, '-inf', now_us, 'LIMIT', 0, 50)) do
    local state = gates.state_of(gate)
    if state then
      state.touched, state.is_due = true, true
      gates.let_go(state)
    else
      redis.call('ZREM', opens, gate)
    end
  end
end

-- When the first gate opens, in us; nil for none. One that is further away than its rate has it is of a clock that went back.
function order.first_opening()
  local first = redis.call('ZRANGE', opens, 0, 0, 'WITHSCORES')
  if not first[1] then return nil end
  local at = tonumber(first[2])
  if at > now_us then
    local state = gates.state_of(first[1])
    if state and at > now_us + state.burst * state.interval then
      gates.note_opening(state)
      return order.first_opening()
    end
  end
  return at
end

-- Whether nobody who is idle knows of the first opening. One watches: others would all come at each token. WATCH: `US SESSION`.
function order.is_unwatched(session)
  local at = order.first_opening()
  if not at then return false end
  local until_then, watcher = string.match(redis.call('HGET', flow, 'watch') or '', '^(%d+) (.*)$')
  if watcher and watcher ~= session and tonumber(until_then) <= at and redis.call('ZSCORE', idle, watcher) then return false end
  return at
end
function order.watch(session, at) redis.call('HSET', flow, 'watch', string.format('%.0f', at) .. ' ' .. session) end
end
