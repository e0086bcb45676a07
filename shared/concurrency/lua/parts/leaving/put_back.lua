-- Moves leased deliveries back into the queue, in the order given; returns the receipts of those that were not there, joined.
-- MOST is given where each of them is a crash: the stored `max_crashes`, so many make a dead letter; 0: never. From the second crash
-- on a message is suspect and goes to a list of its own. An immediate shutdown makes dead letters of all.
local function put_back(receipts, most)
  local missing, crash = {}, most and 1 or 0
  most = tonumber(most)
  if not most or most == 0 then most = math.huge end
  local shut = #receipts > 0 and redis.call('HGET', settings, 'shutdown')
  local has_ended = shut == 'immediate' or shut == 'ending'
  for first = 1, #receipts, 500 do
    local slice = {unpack(receipts, first, math.min(first + 499, #receipts))}
    local entries, again, suspect = redis.call('HMGET', leased, unpack(slice)), {}, {}
    for i, receipt in ipairs(slice) do
      local entry = entries[i] and counted(entries[i], crash, 0)
      if not entry then
        missing[#missing + 1] = receipt
      elseif crash == 1 and crashes_of(entry) >= most then
        local count = most == 1 and 'once' or most .. ' times'
        make_dead_letter(key_of(entry), entry, 'crashed', 'its consumer ended, without an answer, ' .. count)
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
