-- Marks a message whose submitter wants it no more; a mark of `cancel` stays one.
local function give_up(key)
  local mark = redis.call('ZSCORE', marks, key)
  local also = mark and tonumber(mark) % 1 ~= 0 and 0.25 or 0
  redis.call('ZADD', marks, string.format('%.2f', now + also), key)
end

-- Marks a message for which `cancel` is called; one that its submitter has given up stays so, too.
local function mark_cancelled(key)
  local mark = redis.call('ZSCORE', marks, key)
  redis.call('ZADD', marks, string.format('%.2f', now + (mark and tonumber(mark) % 1 ~= 0.5 and 0.25 or 0.5)), key)
end
