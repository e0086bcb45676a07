-- The most frequent case, before anything else is read or made: nobody holds, nobody waits. It grants as `hold` does.
local there = redis.call('EXISTS', holders, waiting, withdrawn)
if there == 0 or there == 1 and redis.call('EXISTS', withdrawn) == 1 and not redis.call('ZSCORE', withdrawn, id) then
  local granted = 'granted_' .. mode
  local known = redis.call('HMGET', record, 'run_id', 'quiet_until', 'token', 'clock', 'longest_ttl', 'kind', 'name', 'resized', granted)
  local ttl = time_to_live(id)
  -- `lease` does what is rare: it notes a shorter time to live, a clock that was set back, another kind, a name.
  local is_plain = ttl >= tonumber(known[5] or 0) and tonumber(known[4] or 0) <= now
    and known[6] == wanted and (called == '' or known[7] == called)
  if is_plain and (known[1] == run_id or known[1] and string.byte(run_id) == 63) and tonumber(known[2] or 0) <= now then
    local last, number = tonumber(known[3] or 0), string.format
    local noted = number('%.0f', now)
    local token, deadline = number('%.0f', math.max(last + 1, now_us)), number('%.0f', now + ttl)
    redis.call('HSET', record, 'token', token, 'phase', mode, 'longest_ttl', ttl, 'longest_at', noted,
      'clock', noted, granted, (known[9] or 0) + 1, id, mode .. ' ' .. token .. ' ' .. noted .. ' ' .. who)
    redis.call('ZADD', holders, deadline, id)
    local rest = math.max(3600000, 10 * ttl)
    redis.call('PEXPIRE', holders, rest)
    -- The record may have rested nearly for as long as it is kept, and that is an hour at least.
    if now_us - last > 1800 * 1000000 and not known[8] then redis.call('PEXPIRE', record, rest) end
    return {'granted', number('%.0f', now), token, deadline, 0}
  end
end
