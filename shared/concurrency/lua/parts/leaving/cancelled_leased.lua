-- What is leased and was cancelled.

-- Ends a delivery as removed that its session has not seen, if `cancel` was called for it; whether it was.
local function drop_leased(entry)
  if not drop_cancelled(entry) then return false end
  redis.call('HDEL', leased, string.sub(entry, 1, 45))
  return true
end

-- Receipts of deliveries that are done with: an acknowledgement on its way wins over `cancel`.
local function finish_marked(receipts)
  for first = 1, #receipts, 1000 do
    local slice = {unpack(receipts, first, math.min(first + 999, #receipts))}
    for i, mark in ipairs(marks_of(slice)) do
      local entry = mark and redis.call('HGET', leased, slice[i])
      if entry then
        end_mark(key_of(entry), 'finished')
        end_id(entry)
      end
    end
  end
end
