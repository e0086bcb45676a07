-- Puts that wait for their own KEY or limit, of the flow set: an eighth of the bound at most stands behind one KEY, or at one gate, so that
-- what cannot go takes no room from what can. A put beyond waits in `line_own`, without room and in nobody's way, as `GATE STAMP MESSAGE`
-- (`kKEY`, or a gate as `running` has it); its body has `@STAMP` as the mark of its place. `!GATE` marks one of which a put may be let in:
-- whoever admits next does so, before others in line.
do
function order.most_behind()
  order.known_bound = order.known_bound or tonumber(redis.call('HGET', settings, 'maxsize') or 0)
  return order.known_bound > 0 and math.max(1, math.floor(order.known_bound / 8)) or math.huge
end

-- Whether so many stand there already.
function order.is_over(gate)
  local most = order.most_behind()
  if most == math.huge then return false end
  if string.byte(gate) == 107 then return order.count_in(order.tail(string.sub(gate, 2))) >= most end
  local state = gates.state_of(gate)
  return state and state.standing >= most
end

local function is_waited_for(gate)
  if order.has_own == nil then order.has_own = redis.call('ZCARD', line_own) > 0 end
  return order.has_own and redis.call('ZLEXCOUNT', line_own, '[' .. gate .. ' ', '(' .. gate .. '!') > 0
end

-- What an entry has to wait for whose flag stands at FLAG_AT: so many stand there, or others wait for it; nil for nothing. KEY is its KEY,
-- nil for none. BUT: that of which it is the first.
function order.must_wait(entry, key, flag_at, but)
  local own = key and 'k' .. key
  if own and own ~= but and (order.is_over(own) or is_waited_for(own)) then return own end
  local first, second = gates.of(entry, flag_at)
  for _, state in ipairs({first, second}) do
    if state.gate ~= but and (order.is_over(state.gate) or is_waited_for(state.gate)) then return state.gate end
  end
  return nil
end

-- Has an outgoing entry wait for its KEY or gate. WHO: a session, or `+OWNER`.
function order.wait_for_own(gate, who, outgoing)
  order.has_own = true
  local mark, message = next_stamp(), string.sub(outgoing, 1, order.MESSAGE_BYTES)
  redis.call('HSET', bodies, message, who .. '@' .. mark .. ' ' .. outgoing)
  redis.call('ZADD', line_own, 0, gate .. ' ' .. mark .. message)
end
end
