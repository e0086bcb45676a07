-- The most frequent case, before anything else is read or made: nobody waits, neither a put nor a session, and there is room
-- for all. It enters them as the script does.
local is_uncontended = again == '0' and with_ids == '0' and withdrawn == '' and heard == '' and confirmed == '' and #entries > 0
  and #entries <= 1000
-- FLOW
-- An entry that says something of its way is for the script.
is_uncontended = false
-- END
if is_uncontended and redis.call('ZCARD', idle) == 0 and redis.call('LLEN', putters) == 0 then
  local owner = owner_of(session)
  local known = redis.call('HMGET', lanes, owner .. ':put', owner .. ':line')
  local bound, shut, level = unpack(redis.call('HMGET', settings, 'maxsize', 'shutdown', 'flow'))
  local deadline = redis.call('ZSCORE', sessions, session)
  local before = known[1] and string.match(known[1], '^%d+ (%d+)') or -1
  local is_plain = deadline and tonumber(deadline) >= now and not shut and not level and tonumber(number) > tonumber(before)
  local maxsize = tonumber(bound or 0)
  if is_plain and maxsize > 0 then
    local waiting = redis.call('LLEN', pending) + redis.call('LLEN', returned) + redis.call('LLEN', suspects) + redis.call('ZCARD', delayed)
    is_plain = waiting + #entries <= maxsize
  end
  if is_plain then
    local counts = redis.call('HMGET', totals, 'stamp', 'put')
    local stamp = math.max(tonumber(counts[1] or 0) + 1, now_us)
    local mark = string.format('%016.0f', stamp)
    local total, count = string.format('%.0f', tonumber(counts[2] or 0) + #entries), string.format('%d', #entries)
    local last, refused = 0, ''
    if known[2] then last, refused = string.match(known[2], '^%d+ (%d+) ?(.*)$') end
    for i, outgoing in ipairs(entries) do entries[i] = mark .. outgoing end
    redis.call('RPUSH', pending, unpack(entries))
    redis.call('HSET', totals, 'stamp', string.format('%.0f', stamp), 'put', total)
    redis.call('HSET', lanes, owner .. ':put', string.format('%.0f', now) .. ' ' .. number .. ' a' .. count)
    return {'ok', now, {'a', #entries}, tonumber(last), refused, 0, 1}
  end
end
