-- What takes do with gates, of the flow set: a delivery spends a token, and a take opens the gates whose time has come.
do
local MANY = 64
local function message_of(entry) return string.sub(entry, 17, 38) end
local function may_be_held(state)
  return (state.at_once == 0 or state.held < state.at_once) and (state.interval == 0 or gates.tokens(state) >= 1)
end

-- Of shares that rest nothing is kept: two are looked at for each that is written.
local function forget_rested(count)
  if count == 0 then return end
  -- A draw of many costs several times as much as a scan from anywhere on; but a scan reads a small hash whole, whatever is asked for.
  local most, rested = 2 * count + 3, {}
  local some = count < MANY and redis.call('HRANDFIELD', flow, most, 'WITHVALUES')
    or redis.call('HSCAN', flow, string.format('%.0f', now_us), 'COUNT', most)[2]
  for at = 1, #some, 2 do
    local tat = string.match(some[at], '^t:s') and string.match(some[at + 1], '^%d+')
    if tat and tonumber(tat) <= now_us then rested[#rested + 1] = some[at] end
  end
  if #rested > 0 then redis.call('HDEL', flow, unpack(rested)) end
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

-- How many this script has delivered that have a gate, and at how many gates: each is the work of several.
order.delivered_count = 0

-- The places of what this slice has delivered, or left at a gate: those in hands, those given up, and the gates.
local function changed_places()
  local held, given_up, changed = {}, {}, {}
  for _, state in gates.each() do
    if state and state.is_changed then
      local prefix = state.gate .. ' '
      for _, message in ipairs(state.handing) do
        held[#held + 1] = 0
        held[#held + 1] = 'r' .. prefix .. message
        given_up[#given_up + 1] = 'w' .. prefix .. message
      end
      for _, message in ipairs(state.left) do given_up[#given_up + 1] = 'w' .. prefix .. message end
      changed[#changed + 1], state.has_handed = state, #state.handing > 0
      state.handing, state.left, state.is_changed = {}, {}, nil
    end
  end
  return held, given_up, changed
end

-- One call for all gates of a slice, of each kind.
function order.delivered()
  order.write_gates()
  local held, given_up, changed = changed_places()
  if #changed == 0 then return end
  order.delivered_count = order.delivered_count + #changed
  if #held > 0 then redis.call('ZADD', running, unpack(held)) end
  redis.call('ZREM', running, unpack(given_up))
  local any_stands, times, shares = redis.call('ZCARD', gated) > 0, {}, 0
  for _, state in ipairs(changed) do
    -- It is counted again where it is asked for.
    state.ready = nil
    if state.has_handed and state.interval > 0 then
      times[#times + 1], times[#times + 2] = gates.times_of(state)
      if string.byte(state.gate) == 115 then shares = shares + 1 end
    end
    state.touched = nil
    if any_stands and state.interval > 0 and state.standing > 0 then gates.note_opening(state) end
  end
  if #times > 0 then redis.call('HSET', flow, unpack(times)) end
  forget_rested(shares)
  order.has_running = true
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
