#!lua flags=allow-oom
-- Puts dead letters back into pending as room allows, behind the waiting puts, past the known ids, with their counts reset.
-- KEYS pending returned suspects delayed putters bodies dead dead_index dead_groups sessions idle lanes ids ids_due settings totals
-- FLOW
--   tails behind passed released line_own let_in flow tags ready line_fair gated running opens
--   once
-- END
-- ARGV
--   session  the caller's session
--   number   this call's number in its lane; a repetition carries the same
--   places   ... places or keys of the dead letters, 500 at most
-- RETURNS letters put back, those that are no dead letters (any more), letters that cannot be read (they stay), 1 if shut down:
--   nothing is put back then; how many of the places were looked at: until there are 2 MiB, or one that is larger. The others of these
--   stay for want of room; the oldest go first
-- PARTS clock identity level sessions room notify wake ids stamp
-- FLOW
--   order_key tags ready gates order own_places own fair_line
--   once_line once
-- END
--   putter_record line unfold refuse_waiting admit places letter_groups one_effect
local before = answered()
if before then return before end
if redis.call('HGET', settings, 'shutdown') then return answer_once({0, 0, 0, 1, #places}) end
local maxsize = tonumber(redis.call('HGET', settings, 'maxsize') or 0)
if in_line() > 0 then admit(room(maxsize)) end
local free = in_line() > 0 and 0 or room(maxsize)
-- Whether so many of its key, or at its limit, are there that it stays a dead letter.
local function waits_for_own(entry)
  -- FLOW
  if order.must_wait(entry, order.key(entry, 49), 49) then return true end
  -- END
  return false
end
-- At the end of its key, where others of it are there.
local function enter_again(entry)
  -- FLOW
  local goes_on = order.goes_on(entry, order.key(entry, 49))
  order.write()
  if not goes_on then return end
  if order.flow(entry, 49) then return order.send_on({entry}, pending) end
  -- END
  redis.call('RPUSH', pending, entry)
end
local replayed, missing, unreadable, looked, bytes = 0, 0, 0, 0, 0
for _, place in ipairs(places) do
  local key = key_at(place)
  local size = key and redis.call('HSTRLEN', dead, key) or 0
  if bytes > 0 and bytes + size > 2097152 then break end
  looked, bytes = looked + 1, bytes + size
  local letter = key and redis.call('HGET', dead, key)
  local entry = letter and string.sub(letter, (string.find(letter, '\n', 1, true) or 0) + 1)
  if not letter then
    missing = missing + 1
  elseif #entry < 52 or string.sub(entry, 17, 38) ~= key then
    unreadable = unreadable + 1
  elseif free > replayed and not waits_for_own(entry) then
    enter_again(next_stamp() .. key .. '0000000000' .. string.sub(entry, 49))
    letter_groups().uncount(letter)
    redis.call('HDEL', dead, key)
    redis.call('ZREM', dead_index, key)
    replayed = replayed + 1
  end
end
count_put(0)
if replayed > 0 then
  redis.call('HINCRBY', totals, 'replayed', replayed)
  wake_one()
end
return answer_once({replayed, missing, unreadable, 0, looked})
