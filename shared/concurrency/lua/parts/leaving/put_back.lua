-- Moves leased deliveries back into the queue, in the order given from FIRST on: 500 at most, with 2 MiB, or one that is larger. Returns
-- how many of the receipts it looked at, and those that were not there, joined.
-- MOST is given where each of them is a crash: the stored `max_crashes`, so many make a dead letter; 0: never. From the second crash
-- on a message is suspect and goes to a list of its own. An immediate shutdown makes dead letters of all.
local MOST_PUT_BACK, MOST_BYTES_PUT_BACK = 500, 2097152
local function put_back(receipts, first, most)
  if first > #receipts then return 0, '' end
  local missing, crash = {}, most and 1 or 0
  most = tonumber(most)
  if not most or most == 0 then most = math.huge end
  local shut = redis.call('HGET', settings, 'shutdown')
  local has_ended = shut == 'immediate' or shut == 'ending'
  local slice, bytes = {}, 0
  for at = first, math.min(#receipts, first + MOST_PUT_BACK - 1) do
    bytes = bytes + redis.call('HSTRLEN', leased, receipts[at])
    if at > first and bytes > MOST_BYTES_PUT_BACK then break end
    slice[#slice + 1] = receipts[at]
  end
  local again, suspect = {}, {}
  for i, found in ipairs(redis.call('HMGET', leased, unpack(slice))) do
    local entry = found and counted(found, crash, 0)
    if not entry then
      missing[#missing + 1] = slice[i]
    elseif marked and marked.drop(entry) then
      -- It never begins again, whatever its holder says.
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
  -- FLOW
  again, suspect = order.come_back(order.back_to_gates(again)), order.back_to_gates(suspect)
  -- END
  if #again > 0 then redis.call('RPUSH', returned, unpack(again)) end
  if #suspect > 0 then redis.call('RPUSH', suspects, unpack(suspect)) end
  redis.call('HDEL', leased, unpack(slice))
  return #slice, table.concat(missing)
end
