#!lua flags=allow-oom,no-writes
-- Reads who holds a lease and who waits for it.
-- KEYS record holders waiting line readers
-- ARGV
-- RETURNS now in ms, the kind in use or '', holders as (id, deadline in ms, mode, token and since, who), waiting readers and then the others as
--   (id, ticket)
-- PARTS clock
local function live(key, start)
  return redis.call('ZRANGEBYSCORE', key, string.format('%.0f', start), '+inf', 'WITHSCORES')
end
local kind = redis.call('HGET', record, 'kind') or ''
local held, waits = {}, {}
local all = live(holders, now)
for first = 1, #all, 1000 do
  local fields, last = {}, math.min(first + 999, #all)
  for at = first, last, 2 do
    fields[at - first + 1], fields[at - first + 2] = all[at], all[at] .. ':who'
  end
  local granted = redis.call('HMGET', record, unpack(fields))
  for at = first, last, 2 do
    local i = 2 * at - 2
    held[i + 1], held[i + 2] = all[at], all[at + 1]
    held[i + 3], held[i + 4] = granted[at - first + 1] or '', granted[at - first + 2] or ''
  end
end
-- Nearly always nobody: then there is nothing to leave out.
local gone, has_gone = {}, false
for _, id in ipairs(redis.call('ZRANGEBYSCORE', waiting, '-inf', string.format('(%.0f', now))) do gone[id], has_gone = true, true end
local function in_order(key)
  local found, list = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), {}
  if not has_gone then return found end
  for i = 1, #found, 2 do
    if not gone[found[i]] then
      list[#list + 1] = found[i]
      list[#list + 1] = found[i + 1]
    end
  end
  return list
end
return {string.format('%.0f', now), kind, held, in_order(readers), in_order(line)}
