#!lua flags=allow-oom,no-writes
-- Reads who holds a lease and who waits for it: a portion of a few hundred a call. A few are one portion.
-- KEYS record holders waiting line readers
-- ARGV
--   from  what the call before returned as `next`; '' to begin
-- RETURNS now in ms, the kind in use or '', next: where the next call goes on, or '' when this was the last; waiting readers as (id, ticket), the
--   others that wait as (id, ticket), holders as (id, deadline in ms, mode, token and since, who)
-- PARTS clock
-- Those who wait come before those who hold: whoever is granted between two calls is read as both, never as neither.
-- ZSCAN returns each that is there all the time, some twice, however deadlines move meanwhile.
local AT_ONCE = 500
local kind = redis.call('HGET', record, 'kind') or ''
local set, cursor = string.match(from, '^(%d) (%d+)$')
set, cursor = tonumber(set or 1), cursor or '0'
local room, found = AT_ONCE, {{}, {}, {}}
local function ids_of(pairs_read)
  local ids = {}
  for i = 1, #pairs_read, 2 do ids[#ids + 1] = pairs_read[i] end
  return ids
end
-- Nearly always nobody has expired: then there is nothing to leave out.
local has_gone = redis.call('ZCOUNT', waiting, '-inf', string.format('(%.0f', now)) > 0
local function those_who_wait(read, list)
  local deadlines = has_gone and redis.call('ZMSCORE', waiting, unpack(ids_of(read))) or {}
  for i = 1, #read, 2 do
    local deadline = deadlines[(i + 1) / 2]
    if not deadline or tonumber(deadline) >= now then
      list[#list + 1] = read[i]
      list[#list + 1] = read[i + 1]
    end
  end
end
local function those_who_hold(read, list)
  local fields = {}
  for _, id in ipairs(ids_of(read)) do
    fields[#fields + 1] = id
    fields[#fields + 1] = id .. ':who'
  end
  local granted = redis.call('HMGET', record, unpack(fields))
  for i = 1, #read, 2 do
    if tonumber(read[i + 1]) >= now then
      list[#list + 1] = read[i]
      list[#list + 1] = read[i + 1]
      list[#list + 1] = granted[i] or ''
      list[#list + 1] = granted[i + 1] or ''
    end
  end
end
local sets = {readers, line, holders}
while room > 0 and set <= #sets do
  local answer = redis.call('ZSCAN', sets[set], cursor, 'COUNT', room)
  local read = answer[2]
  if #read > 0 then (set < 3 and those_who_wait or those_who_hold)(read, found[set]) end
  cursor, room = answer[1], room - math.max(1, #read / 2)
  if cursor == '0' then set = set + 1 end
end
local following = set <= #sets and set .. ' ' .. cursor or ''
return {string.format('%.0f', now), kind, following, found[1], found[2], found[3]}
