-- FLOW
-- Forgets which puts were let in by their keys, as their owner knows, or does not ask any more.
function order.forget_let_in(keys)
  for first = 1, #keys, 22000 do
    local known = {}
    for at = first, math.min(first + 21978, #keys), 22 do known[#known + 1] = string.sub(keys, at, at + 21) end
    redis.call('ZREM', let_in, unpack(known))
  end
end
-- END
