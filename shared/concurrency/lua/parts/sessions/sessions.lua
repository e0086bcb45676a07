-- A session is live until its deadline has passed; an unknown one is over.
local function is_live(id)
  local deadline = redis.call('ZSCORE', sessions, id)
  return deadline ~= false and tonumber(deadline) >= now
end
