-- Puts that wait for their own KEY, of the flow set: behind one KEY stands an eighth of the bound at most, so that what cannot go takes
-- no room from what can. A put beyond waits in `line_own`, without room and in nobody's way, as `kKEY STAMP MESSAGE`; its body has
-- `@STAMP` as the mark of its place. `!KEY` marks a KEY of which one may be let in: whoever admits next does so, before others in line.
do
function order.most_behind()
  order.known_bound = order.known_bound or tonumber(redis.call('HGET', settings, 'maxsize') or 0)
  return order.known_bound > 0 and math.max(1, math.floor(order.known_bound / 8)) or math.huge
end

-- The KEY that an outgoing entry has to wait for: so many stand behind already, or others wait for it.
function order.key_to_wait_for(outgoing)
  local key = order.key(outgoing, 33)
  if not key then return nil end
  if order.count_in(order.tail(key)) >= order.most_behind() then return key end
  if redis.call('ZCARD', line_own) == 0 then return nil end
  return redis.call('ZLEXCOUNT', line_own, '[k' .. key .. ' ', '(k' .. key .. '!') > 0 and key or nil
end

-- Has an outgoing entry wait for its KEY. WHO: a session, or `+OWNER`.
function order.wait_for_key(key, who, outgoing)
  local mark, message = next_stamp(), string.sub(outgoing, 1, order.MESSAGE_BYTES)
  redis.call('HSET', bodies, message, who .. '@' .. mark .. ' ' .. outgoing)
  redis.call('ZADD', line_own, 0, 'k' .. key .. ' ' .. mark .. message)
end
end
