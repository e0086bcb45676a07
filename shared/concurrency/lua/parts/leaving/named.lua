-- Which receipts of a session a call gives back: those that it NAMES (45 bytes each), or the first 200. `-` names none where there are
-- more than 1000: sorting all of them in each call is more work than giving them back.
local function named(names)
  if names and names ~= '' and names ~= '-' then return receipts_in(names) end
  if names == '-' and redis.call('HLEN', leased) > 1000 then return {} end
  local receipts = redis.call('HKEYS', leased)
  table.sort(receipts)
  return {unpack(receipts, 1, math.min(200, #receipts))}
end
