#!lua flags=allow-oom
-- Reads a page of dead letters in the order of their deaths: looks at 500 of them or until there is 1 MiB, at 4 MiB at most
-- unless one alone is larger; picks out those that match.
-- KEYS dead dead_index lanes settings
-- ARGV
--   session    the caller's session
--   number     this step's number in its lane, for a repetition to end where the first one did; 0 for a reader
--   after      the place behind which to go on, empty for the beginning
--   upto       the last place to look at, empty for the one that is last now
--   count      letters to pick out at most
--   whole      1 for the letters too, 0 for their places only
--   of_id      only letters of this id or key; empty for any
--   of_type    only those of this message class; empty for any
--   of_reason  only those with this reason; empty for any
-- RETURNS the place to go on from ('' at the end), the last place to look at, then a place for each, followed by its letter
--   if whole; a letter is JSON (reason, error, died_ms), a newline, the entry
-- PARTS clock identity level places one_effect
local function decoded(text)
  local good, found = pcall(cjson.decode, text)
  return good and type(found) == 'table' and found or {}
end
local function wanted(key, letter)
  local gap = string.find(letter, '\n', 1, true) or 0
  if of_reason ~= '' and decoded(string.sub(letter, 1, gap - 1)).reason ~= of_reason then return false end
  if of_id == '' and of_type == '' then return true end
  local size = tonumber(string.sub(letter, gap + 50, gap + 52)) or 0
  local headers = decoded(string.sub(letter, gap + 53, gap + 52 + size))
  return (of_id == '' or key == of_id or headers.id == of_id) and (of_type == '' or headers.type == of_type)
end
local function split(place)
  local died, key = string.match(place, '^(%d+) (.+)$')
  return tonumber(died), key
end

local rank = 0
if after ~= '' then
  local died, last = split(after)
  rank = redis.call('ZCOUNT', dead_index, '-inf', '(' .. string.format('%.0f', died))
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', dead_index, died, died)) do
    if key > last then break end
    rank = rank + 1
  end
end
if upto == '' then
  local last, before = recorded()
  local newest = redis.call('ZRANGE', dead_index, -1, -1, 'WITHSCORES')
  upto = newest[1] and place_of(newest[1], newest[2]) or ''
  if number == last then
    upto = before
  elseif tonumber(number) > tonumber(last or 0) then
    answer_once({upto})
  end
  if upto == '' then return {'', ''} end
end
local last_died, last_key = split(upto)
local answer, bytes, picked = {'', upto}, 0, 0
local found = redis.call('ZRANGE', dead_index, rank, rank + 499, 'WITHSCORES')
for at = 1, #found, 2 do
  local key, died = found[at], tonumber(found[at + 1])
  if died > last_died or (died == last_died and key > last_key) then return answer end
  local place, letter = place_of(key, died), redis.call('HGET', dead, key)
  if letter and at > 1 and bytes + #letter > 4194304 then
    answer[1] = place_of(found[at - 2], tonumber(found[at - 1]))
    break
  end
  if letter and wanted(key, letter) then
    picked = picked + 1
    answer[#answer + 1] = place
    if whole == '1' then answer[#answer + 1] = letter end
  end
  bytes = bytes + (letter and #letter or 0)
  if picked == tonumber(count) or bytes >= 1048576 or at == 999 then
    answer[1] = place
    break
  end
end
return answer
