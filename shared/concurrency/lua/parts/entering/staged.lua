-- Folds that are staged: in `bodies`, without a place in the line, until the acknowledgement comes that they travel with. Those of a
-- session stand in the lanes under SESSION:staged: `NOW`, then key and number of puts of each. `folded` of the totals is what the
-- fields of `bodies` lack as a number of waiting puts: of a fold that is staged they have one too many.
local function staged_by(id)
  local counts, keys = {}, {}
  for key, count in string.gmatch(redis.call('HGET', lanes, id .. ':staged') or '', ' (%S+) (%d+)') do
    counts[key] = tonumber(count)
    keys[#keys + 1] = key
  end
  return counts, keys
end

local function record_staged(id, counts, keys)
  local words = {string.format('%.0f', now)}
  for _, key in ipairs(keys) do
    if counts[key] then words[#words + 1] = key .. ' ' .. counts[key] end
  end
  if #words > 1 then
    redis.call('HSET', lanes, id .. ':staged', table.concat(words, ' '))
  else
    redis.call('HDEL', lanes, id .. ':staged')
  end
end

-- Forgets what a session has staged: all of it, or that of ONLY these keys.
local function forget_staged(id, only)
  local counts, keys = staged_by(id)
  if #keys == 0 then return end
  for _, key in ipairs(only or keys) do
    if counts[key] then
      counts[key] = nil
      redis.call('HINCRBY', totals, 'folded', redis.call('HDEL', bodies, key))
    end
  end
  record_staged(id, counts, keys)
end
