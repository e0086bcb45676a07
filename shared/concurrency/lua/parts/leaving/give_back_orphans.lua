-- Gives back what is leased to a session and not kept by it: the reply that delivered it was lost.
local function give_back_orphans(kept)
  local is_kept, orphans = {}, {}
  for _, receipt in ipairs(kept) do is_kept[receipt] = true end
  for _, receipt in ipairs(redis.call('HKEYS', leased)) do
    if not is_kept[receipt] then orphans[#orphans + 1] = receipt end
  end
  table.sort(orphans)
  put_back(orphans, 0)
end
