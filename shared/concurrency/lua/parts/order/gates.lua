-- Limits, of the flow set. A message with a limit goes by its gate once it is in play: it gets a place there, or stands at it. What is
-- ready has its place already (`w` in `running`), and has one in hands (`r`); what ends or comes back gives it up, and the gate lets the
-- next one go. So a take sets nothing aside. A GATE is `lLIMIT`, or `sSHARE` for the limit that every share has; a message may have both.
-- Rates are GCRA: a token is spent at the delivery, and never comes back.
local gates = {}
do
local MOST_LET_GO, MOST_BYTES_LET_GO, MOST_GATES, MOST_PLACES, AT_ONCE, NOW_TAG = 200, 1048576, 50, 4000, 16, string.rep('0', 16)
local states, standing, places, going, coming, doubtful, next_tags, touched = {}, {}, {}, {}, {}, {}, {}, {}
local function message_of(entry) return string.sub(entry, 17, 38) end
local function counted_of(key, prefix) return redis.call('ZLEXCOUNT', key, '[' .. prefix .. ' ', '(' .. prefix .. '!') end

-- How many this script has had stand at a gate, and whether a gate opens sooner than before.
order.at_gates, order.opens_sooner = 0, false

function order.forget_gates() states, order.numbers = {}, nil end

-- Whether the queue has limits at all, and whether shares have one.
local function has_limits()
  order.numbers = order.numbers or redis.call('HMGET', flow, 'limits', 's:*')
  return order.numbers[1] or order.numbers[2]
end

-- How many are ready, held, and stand at a gate: counted when it is asked for, once, and kept from there on. So it is asked for before it
-- is changed, or `rawget` says that nobody has asked.
local counts = {
  ready = function(gate) return counted_of(running, 'w' .. gate) end,
  held = function(gate) return counted_of(running, 'r' .. gate) end,
  standing = function(gate) return counted_of(gated, '0' .. gate) + counted_of(gated, '1' .. gate) end,
}
local counted = {__index = function(state, word)
  local count = counts[word] and counts[word](state.gate)
  rawset(state, word, count)
  return count
end}

-- What is known of a gate; false where it has no numbers.
local function state_of(gate)
  if states[gate] ~= nil then return states[gate] end
  local is_share, numbers, times = string.byte(gate) == 115, nil, nil
  if is_share then
    numbers = has_limits() and order.numbers[2]
    times = numbers and redis.call('HGET', flow, 't:' .. gate)
  else
    numbers, times = unpack(redis.call('HMGET', flow, 'l:' .. string.sub(gate, 2), 't:' .. gate))
  end
  if not numbers then
    states[gate] = false
    return false
  end
  local at_once, interval, burst = string.match(numbers, '^(%d+) (%d+) (%d+)')
  local state = {gate = gate, at_once = tonumber(at_once), interval = tonumber(interval), burst = tonumber(burst), handing = {}, left = {}, tag_of = {}}
  local tat, V = string.match(times or '0 0', '^(%d+) (%d+)')
  state.V = tonumber(V)
  state.tat = tonumber(tat)
  local furthest = now_us + state.burst * state.interval
  if state.tat > furthest and state.interval > 0 then
    -- The clock went back.
    state.tat = furthest
    redis.call('HSET', flow, 't:' .. gate, string.format('%.0f %.0f', furthest, state.V))
  end
  states[gate] = setmetatable(state, counted)
  return state
end

local function tokens(state)
  return math.floor((state.burst * state.interval - (math.max(state.tat, now_us) - now_us)) / state.interval)
end
local function may_go(state)
  return (state.at_once == 0 or state.ready + state.held < state.at_once) and (state.interval == 0 or state.ready < tokens(state))
end

-- The gates of an entry whose flag stands at FLAG_AT: of its limit and of its share, where they have numbers.
local function gates_of(entry, flag_at)
  if not order.FLAGS[string.byte(entry, flag_at)] or not has_limits() then return nil end
  local name, _, limit = order.way(entry, flag_at)
  if not name then return nil end
  local share = string.sub(name, 3)
  local first = limit ~= '' and state_of('l' .. limit) or nil
  local second = share ~= '' and order.numbers[2] and state_of('s' .. share) or nil
  if first then return first, second end
  return second
end

-- Whether an outgoing entry has a gate: it is never handed over.
function order.has_gate(outgoing) return gates_of(outgoing, 33) ~= nil end

-- New ones stand by start tags, in thousandths: each flow at a gate has its turns, by a time of the gate's own.
local function tag_of(state, entry)
  local name = order.way(entry, 49)
  local field = 'G' .. state.gate .. ' ' .. name
  local tag = math.max(state.V, state.tag_of[field] or tonumber(redis.call('HGET', tags, field) or 0))
  state.tag_of[field] = tag + math.floor(1000 * order.cost_of(name))
  next_tags[#next_tags + 1] = field
  next_tags[#next_tags + 1] = state.tag_of[field]
  return string.format('%016.0f', tag)
end

-- A gate of which others stand there, or less than before: whether a time is known at which it opens is seen when all is written.
local function touch(state)
  if state.touched then return end
  state.touched, touched[#touched + 1] = true, state
end

local function stand(state, entry, class, tag)
  standing[#standing + 1] = 0
  standing[#standing + 1] = class .. state.gate .. ' ' .. (tag or tag_of(state, entry)) .. entry
  state.standing = state.standing + 1
  touch(state)
  order.at_gates = order.at_gates + 1
end

local function give_place(state, entry)
  places[#places + 1] = 0
  places[#places + 1] = 'w' .. state.gate .. ' ' .. message_of(entry)
  state.ready = state.ready + 1
end

-- What is stored of a gate: until when it is paid for, and its time.
function gates.times_of(state) return 't:' .. state.gate, string.format('%.0f %.0f', state.tat, state.V) end

-- Keeps that; nothing of a share that rests.
local function keep_times(state)
  local field, times = gates.times_of(state)
  if string.byte(state.gate) == 115 and state.tat <= now_us and state.standing == 0 then
    redis.call('HDEL', flow, field)
  else
    redis.call('HSET', flow, field, times)
  end
end

-- Where a gate is closed by its rate alone, a take looks when it opens.
local function note_opening(state)
  state.touched = nil
  if state.interval == 0 then
    if state.is_due then redis.call('ZREM', opens, state.gate) end
    return
  end
  local waits = state.standing > 0 and state.ready < state.burst and (state.at_once == 0 or state.ready + state.held < state.at_once)
  if not waits then
    redis.call('ZREM', opens, state.gate)
    return
  end
  local at = string.format('%.0f', math.max(state.tat, now_us) + (state.ready + 1 - state.burst) * state.interval)
  redis.call('ZADD', opens, at, state.gate)
  order.opens_sooner = true
end

-- Writes what stands at gates from now on, what has a place, and what is ready: before any of it is removed where it was.
function order.write_gates()
  if #standing > 0 then redis.call('ZADD', gated, unpack(standing)) end
  if #places > 0 then redis.call('ZADD', running, unpack(places)) end
  if #next_tags > 0 then
    redis.call('HSET', tags, unpack(next_tags))
    next_tags = {}
  end
  if #going > 0 then order.send_on(going, released) end
  coming = order.come_back(coming)
  if #coming > 0 then redis.call('RPUSH', returned, unpack(coming)) end
  if #doubtful > 0 then redis.call('RPUSH', suspects, unpack(doubtful)) end
  if #places > 0 then order.has_running = true end
  if #standing > 0 or #places > 0 then
    standing, places, going, coming, doubtful = {}, {}, {}, {}, {}
    local those = touched
    touched = {}
    for _, state in ipairs(those) do
      if state.touched then note_opening(state) end
    end
  end
end

-- Whether an entry in play may go on, with its places; else it stands at a gate once `write_gates` has run. CLASS: 1 for a new one, 0 for
-- one that was delivered before.
function order.passes(entry, class)
  local first, second = gates_of(entry, 49)
  if not first then return true end
  for _, state in ipairs({first, second}) do
    if state.standing > 0 or not may_go(state) then
      stand(state, entry, class)
      return false
    end
  end
  give_place(first, entry)
  if second then give_place(second, entry) end
  return true
end

-- One that its gate lets go.
local function becomes_ready(entry, class)
  local list = class == '1' and going or string.byte(entry, 39) >= 50 and doubtful or coming
  list[#list + 1] = entry
end

-- Puts that wait for this gate may be let in: it is marked, for whoever admits next.
local function mark_own(gate)
  if redis.call('ZCARD', line_own) > 0 and counted_of(line_own, gate) > 0 then redis.call('ZADD', line_own, 0, '!' .. gate) end
end

-- Lets go what may, those first that were delivered before: with both places or none, one goes from the one gate to the other.
local function let_go(state)
  local count, bytes, any = 0, 0, false
  -- Where a place is free and no token, it is the rate alone that closes it from now on.
  if state.interval > 0 then state.touched = true end
  while state.standing > 0 and may_go(state) do
    if count >= MOST_LET_GO or bytes >= MOST_BYTES_LET_GO then
      -- A take goes on.
      redis.call('ZADD', opens, now_us, state.gate)
      order.opens_sooner, state.touched = true, nil
      break
    end
    local found
    for _, class in ipairs({'0', '1'}) do
      local prefix = class .. state.gate
      found = redis.call('ZRANGEBYLEX', gated, '[' .. prefix .. ' ', '(' .. prefix .. '!', 'LIMIT', 0, bytes == 0 and 1 or AT_ONCE)
      if #found > 0 then break end
    end
    if #found == 0 then
      state.standing = 0
      break
    end
    local gone = {}
    for _, member in ipairs(found) do
      if not may_go(state) then break end
      local class, tag, entry = string.sub(member, 1, 1), string.sub(member, #state.gate + 3, #state.gate + 18), string.sub(member, #state.gate + 19)
      local first, second = gates_of(entry, 49)
      local other = first ~= state and first or second ~= state and second or nil
      if other and (other.standing > 0 or not may_go(other)) then
        stand(other, entry, class, tag)
      else
        give_place(state, entry)
        if other then give_place(other, entry) end
        becomes_ready(entry, class)
      end
      if class == '1' then state.V = math.max(state.V, tonumber(tag)) end
      gone[#gone + 1], bytes, count = member, bytes + #member, count + 1
      state.standing = state.standing - 1
      touch(state)
    end
    order.write_gates()
    redis.call('ZREM', gated, unpack(gone))
    any = true
  end
  if any then
    order.has_let_go, order.has_touched = true, true
    keep_times(state)
    mark_own(state.gate)
  end
  if state.touched then note_opening(state) end
end

-- Takes the places of a LETTER away that these have, each a gate and a message: a search and a removal for all of them. Returns those that
-- had none; `freed` has the gates of the others, each once.
local function take_places(letter, pairs_of, freed)
  local others, gone, places_of = {}, {}, {}
  for i = 1, #pairs_of, 2 do places_of[#places_of + 1] = letter .. pairs_of[i] .. ' ' .. pairs_of[i + 1] end
  local word = letter == 'r' and 'held' or 'ready'
  for i, found in ipairs(#places_of > 0 and redis.call('ZMSCORE', running, unpack(places_of)) or {}) do
    local gate, state = pairs_of[2 * i - 1], states[pairs_of[2 * i - 1]]
    if found then
      gone[#gone + 1] = places_of[i]
      if not freed[gate] then freed[gate], freed[#freed + 1] = true, gate end
      if state and rawget(state, word) then state[word] = state[word] - 1 end
    else
      others[#others + 1], others[#others + 2] = gate, pairs_of[2 * i]
    end
  end
  if #gone > 0 then redis.call('ZREM', running, unpack(gone)) end
  return others
end

-- These gates may let others go, some of them now.
local function open_freed(freed)
  if #freed == 0 or redis.call('ZCARD', gated) == 0 then return end
  local later = {}
  for i, gate in ipairs(freed) do
    if i > MOST_GATES then
      later[#later + 1], later[#later + 2] = now_us, gate
    else
      local state = state_of(gate)
      if state and state.standing > 0 then let_go(state) end
    end
  end
  if #later > 0 then
    -- A take goes on.
    redis.call('ZADD', opens, unpack(later))
    order.opens_sooner, order.has_let_go = true, true
  end
end

-- These entries are not in hands any more, and not ready: their places are free. Only a place that is there is freed, so that a repetition
-- frees nothing twice.
function order.give_up_places(entries)
  if order.has_running == nil then order.has_running = redis.call('ZCARD', running) > 0 end
  if not order.has_running then return end
  local freed, some = {}, {}
  for i, entry in ipairs(entries) do
    local name, _, limit
    if entry then name, _, limit = order.way(entry, 49) end
    if name and limit ~= '' then some[#some + 1], some[#some + 2] = 'l' .. limit, message_of(entry) end
    if name and #name > 2 and has_limits() and order.numbers[2] then
      some[#some + 1], some[#some + 2] = 's' .. string.sub(name, 3), message_of(entry)
    end
    if #some >= MOST_PLACES or i == #entries then
      take_places('w', take_places('r', some, freed), freed)
      some = {}
    end
  end
  open_freed(freed)
end

-- Entries come back that were in hands, or are due again: those that have gates stand there in front of the new ones, and go at once where
-- there is a place. Returns the others.
function order.back_to_gates(entries)
  local others, open = {}, {}
  for _, entry in ipairs(entries) do
    local first = gates_of(entry, 49)
    if first then
      stand(first, entry, '0', NOW_TAG)
      open[#open + 1] = first
    else
      others[#others + 1] = entry
    end
  end
  order.write_gates()
  order.give_up_places(entries)
  for _, state in ipairs(open) do
    if state.standing > 0 then let_go(state) end
  end
  return others
end
gates.state_of, gates.of, gates.stand, gates.note_opening, gates.let_go, gates.tokens = state_of, gates_of, stand, note_opening, let_go, tokens
function gates.each() return pairs(states) end

-- The time of the gate that a field of `tags` is of: `GGATE PRIORITY SHARE`.
function order.time_of_gate(field)
  local state = state_of(string.match(field, '^G(%S+)'))
  return state and state.standing > 0 and state.V or math.huge
end
end
