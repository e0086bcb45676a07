-- The most frequent case, before anything else is read or made: it is held, nobody else holds, nobody waits.
if in_doubt ~= '1' and redis.call('EXISTS', waiting) == 0 and redis.call('ZCARD', holders) == 1 then
  local deadline = redis.call('ZSCORE', holders, id)
  if deadline and tonumber(deadline) >= now then
    redis.call('DEL', holders)
    redis.call('HDEL', record, id, id .. ':who')
    local known = redis.call('HMGET', record, 'longest_ttl', 'resized')
    if not known[2] then redis.call('PEXPIRE', record, math.max(3600000, 10 * (known[1] or 0))) end
    return {'released', 0}
  end
end
