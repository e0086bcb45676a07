-- Messages not finished yet, those in a consumer's hands included.
local function unfinished()
  local totals_now = redis.call('HMGET', totals, 'put', 'replayed', 'acked', 'dead', 'cancelled', 'named')
  for i = 1, 6 do totals_now[i] = tonumber(totals_now[i] or 0) end
  return totals_now[1] + totals_now[2] - totals_now[3] - totals_now[4] - totals_now[5] + totals_now[6]
end
