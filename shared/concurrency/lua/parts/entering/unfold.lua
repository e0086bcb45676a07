-- Lets a fold at the front of the line in, where there is room for all of it, or else unfolds it. Returns how many places stand there
-- instead, how many puts went in, and the bytes of its body. UNFOLDED has the keys of all that this script unfolded.
local unfolded = {}
local function unfold(place, free)
  local body = redis.call('HGET', bodies, place)
  redis.call('LPOP', putters)
  local who, _, from = string.match(body or '', WAITS)
  if not who then return 0, 0, 0 end
  local entries, owner = entries_of(body, from), string.sub(who, 2)
  if #entries == 0 then
    redis.call('HDEL', bodies, place)
    return 0, 0, 0
  end
  local fits = #entries <= free
  -- FLOW
  for _, outgoing in ipairs(entries) do fits = fits and not order.FLAGS[string.byte(outgoing, 33)] end
  -- END
  if fits then
    for i, outgoing in ipairs(entries) do entries[i] = next_stamp() .. outgoing end
    redis.call('RPUSH', pending, unpack(entries))
  else
    local keys, waits = {}, {}
    for i, outgoing in ipairs(entries) do
      local key = string.sub(outgoing, 1, KEY_BYTES)
      unfolded[#unfolded + 1] = key
      keys[#entries - i + 1] = key
      waits[2 * i - 1], waits[2 * i] = key, '+' .. owner .. ' ' .. outgoing
    end
    redis.call('HSET', bodies, unpack(waits))
    redis.call('LPUSH', putters, unpack(keys))
  end
  redis.call('HDEL', bodies, place)
  redis.call('HINCRBY', totals, 'folded', 1 - #entries)
  notify(owner, 'onward', place .. (fits and ' all' or ''))
  return fits and 0 or #entries, fits and #entries or 0, #body
end
