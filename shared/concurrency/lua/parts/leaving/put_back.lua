-- Moves leased deliveries back into the queue, in the order given; returns the receipts of those that were not there, joined.
-- From the second crash on a message is suspect and goes to a list of its own; the fifth makes it a dead letter, and so does an
-- immediate shutdown.
local function put_back(receipts, crash)
  local missing, has_ended = {}, #receipts > 0 and redis.call('HGET', settings, 'shutdown') == 'immediate'
  for first = 1, #receipts, 500 do
    local slice = {unpack(receipts, first, math.min(first + 499, #receipts))}
    local entries, again, suspect = redis.call('HMGET', leased, unpack(slice)), {}, {}
    for i, receipt in ipairs(slice) do
      local entry = entries[i] and counted(entries[i], crash, 0)
      if not entry then
        missing[#missing + 1] = receipt
      elseif crashes_of(entry) >= 5 then
        make_dead_letter(key_of(entry), entry, 'crashed', 'its consumer ended, without an answer, five times')
      elseif has_ended then
        make_dead_letter(key_of(entry), entry, 'shutdown', 'the queue was shut down while it was handled')
      elseif crashes_of(entry) >= 2 then
        suspect[#suspect + 1] = entry
      else
        again[#again + 1] = entry
      end
    end
    if #again > 0 then redis.call('RPUSH', returned, unpack(again)) end
    if #suspect > 0 then redis.call('RPUSH', suspects, unpack(suspect)) end
    redis.call('HDEL', leased, unpack(slice))
  end
  return table.concat(missing)
end
