-- Puts that wait for their own KEY, of the flow set: behind one KEY stands an eighth of the bound at most, so that what cannot go takes
-- no room from what can. A put beyond waits in `line_own`, without room and in nobody's way, as `kKEY STAMP MESSAGE`; its body has
-- `@STAMP` as the mark of its place. `!KEY` marks a KEY of which one may be let in: whoever admits next does so, before others in line.
do
function order.most_behind()
  order.known_bound = order.known_bound or tonumber(redis.call('HGET', settings, 'maxsize') or 0)
  return order.known_bound > 0 and math.max(1, math.floor(order.known_bound / 8)) or math.huge
end

-- Whether an entry of this KEY has to wait for it: so many stand behind already, or others wait. Nil is no KEY.
function order.must_wait(key)
  if not key then return false end
  local most = order.most_behind()
  if most < math.huge and order.count_in(order.tail(key)) >= most then return true end
  if order.has_own == nil then order.has_own = redis.call('ZCARD', line_own) > 0 end
  return order.has_own and redis.call('ZLEXCOUNT', line_own, '[k' .. key .. ' ', '(k' .. key .. '!') > 0
end

-- Has an outgoing entry wait for its KEY. WHO: a session, or `+OWNER`.
function order.wait_for_key(key, who, outgoing)
  order.has_own = true
  local mark, message = next_stamp(), string.sub(outgoing, 1, order.MESSAGE_BYTES)
  redis.call('HSET', bodies, message, who .. '@' .. mark .. ' ' .. outgoing)
  redis.call('ZADD', line_own, 0, 'k' .. key .. ' ' .. mark .. message)
end
end
