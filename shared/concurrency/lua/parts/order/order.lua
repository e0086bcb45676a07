-- Order per key, of the flow set. Of a KEY at most one message is in play: pending, released, leased, handed, returned, suspect or
-- delayed. The others stand behind it: `behind` has under each message the entry that comes after it. The script that ends a message
-- lets the next one go. `tails` names the last message of a KEY, and how many stand behind; it has a KEY if and only if one is in play.
do
local tail_of, changed_tails, now_behind = {}, {}, {}
local function message_of(entry) return string.sub(entry, 17, 38) end

-- Whether this script has let one go, and when the soonest is due that it has delayed here.
order.has_let_go, order.soonest = false, math.huge

-- What `tails` has of a KEY, as this script has it so far: false for nothing.
function order.tail(key)
  if tail_of[key] == nil then tail_of[key] = redis.call('HGET', tails, key) end
  return tail_of[key]
end

-- The script goes over to another queue.
function order.forget()
  tail_of, order.known_bound, order.has_own = {}, nil, nil
  order.forget_times()
  order.forget_gates()
end

local function tail_record(message, count) return message .. string.format('%06d', count) end
function order.count_in(record) return record and tonumber(string.sub(record, order.MESSAGE_BYTES + 1)) or 0 end

-- The KEYs of entries[first..last] without a stamp, each under its number: one look at the tails of all of them.
function order.keys_of(outgoing, first, last)
  local keys, key_of, count = {}, {}, 0
  for i = first, last do
    local key = order.key(outgoing[i], 33)
    key_of[i] = key
    if key and tail_of[key] == nil then
      count = count + 1
      keys[count], tail_of[key] = key, false
    end
  end
  if count == 0 then return key_of end
  for i, record in ipairs(redis.call('HMGET', tails, unpack(keys))) do tail_of[keys[i]] = record end
  return key_of
end

-- Whether an entry that enters has to stand behind another of its KEY, nil for none; then that is where it is, once `order.write` has run.
function order.stands_behind(entry, key)
  if not key then return false end
  local last, at = order.tail(key), #now_behind
  local record = tail_record(message_of(entry), last and order.count_in(last) + 1 or 0)
  tail_of[key], changed_tails[key] = record, record
  if not last then return false end
  now_behind[at + 1], now_behind[at + 2] = string.sub(last, 1, 22), entry
  return true
end

-- Whether an entry that enters may go on at once; else it is in its place once `order.write` has run: behind another of its KEY, or at a gate.
function order.goes_on(entry, key)
  if order.stands_behind(entry, key) then return false end
  return order.passes(entry, '1')
end

function order.write()
  order.write_gates()
  if #now_behind > 0 then
    redis.call('HSET', behind, unpack(now_behind))
    now_behind = {}
  end
  if next(changed_tails) then
    local words = {}
    for key, record in pairs(changed_tails) do
      words[#words + 1] = key
      words[#words + 1] = record
    end
    redis.call('HSET', tails, unpack(words))
    changed_tails = {}
  end
end

-- Those of some entries that enter which stand behind nobody and at no gate; the others are in their places.
function order.in_play(entries)
  local found = {}
  for _, entry in ipairs(entries) do
    if order.goes_on(entry, order.key(entry, 49)) then found[#found + 1] = entry end
  end
  order.write()
  return found
end

-- One that failed and let others pass: its turn has come, and its delay begins.
local function go_again(waits)
  local delay, from = string.match(waits, '^(%d+) ()')
  local entry = string.sub(waits, from)
  if tonumber(delay) > 0 then
    local kept = redis.call('HMGET', settings, 'clock', 'behind')
    local due = math.max(now + tonumber(kept[2] or 0), tonumber(kept[1] or 0)) + tonumber(delay)
    redis.call('ZADD', delayed, due, entry)
    order.soonest = math.min(order.soonest, due)
  elseif #order.back_to_gates({entry}) == 0 then
    -- It goes on from its gate.
  elseif string.byte(entry, 39) >= 50 then
    redis.call('RPUSH', suspects, entry)
  elseif order.come_back({entry})[1] then
    redis.call('RPUSH', returned, entry)
  end
end

-- One less stands behind each of these KEYs. A put that waits for its KEY may be let in then: it is marked, for whoever admits next.
local function one_less_of(keys)
  if redis.call('ZCARD', line_own) == 0 then return end
  for _, key in ipairs(keys) do
    if redis.call('ZLEXCOUNT', line_own, '[k' .. key .. ' ', '(k' .. key .. '!') > 0 then redis.call('ZADD', line_own, 0, '!k' .. key) end
  end
end

-- These entries are done with: their places are free, and what comes after each in its KEY may go. By message, so that a repetition does nothing. Called before
-- the entry is removed, and the next one is there before it is taken from behind.
function order.finished(ended)
  order.give_up_places(ended)
  local messages, keys = {}, {}
  for _, entry in ipairs(ended) do
    local key = entry and order.key(entry, 49)
    if key then messages[#messages + 1], keys[#keys + 1] = message_of(entry), key end
  end
  if #messages == 0 then return end
  local lasts, going, gone, words, free = redis.call('HMGET', tails, unpack(keys)), {}, {}, {}, {}
  local passing = redis.call('HLEN', passed) > 0
  for i, follower in ipairs(redis.call('HMGET', behind, unpack(messages))) do
    local key, message, last = keys[i], messages[i], lasts[i]
    local waits = not follower and passing and redis.call('HGET', passed, message)
    if follower then
      gone[#gone + 1] = message
      if order.passes(follower, '1') then going[#going + 1] = follower end
    elseif waits then
      go_again(waits)
      redis.call('HDEL', passed, message)
    end
    if follower or waits then order.has_let_go = true end
    if last and (follower or waits) then
      tail_of[key] = tail_record(string.sub(last, 1, order.MESSAGE_BYTES), order.count_in(last) - 1)
      words[#words + 1], words[#words + 2] = key, tail_of[key]
    elseif last and string.sub(last, 1, order.MESSAGE_BYTES) == message then
      tail_of[key] = false
      free[#free + 1] = key
    end
  end
  order.write_gates()
  if #going > 0 then order.send_on(going, released) end
  if #gone > 0 then redis.call('HDEL', behind, unpack(gone)) end
  if #words > 0 then redis.call('HSET', tails, unpack(words)) end
  if #free > 0 then redis.call('HDEL', tails, unpack(free)) end
  one_less_of(keys)
end

-- Has an entry in play that failed go behind all others of its KEY, and the next one go; false where nobody is behind it. Its delay,
-- in ms, begins when its turn comes.
function order.let_pass(entry, delay)
  local key, message = order.key(entry, 49), message_of(entry)
  local last = key and redis.call('HGET', tails, key)
  if not last or order.count_in(last) == 0 or string.sub(last, 1, order.MESSAGE_BYTES) == message then return false end
  redis.call('HSET', passed, string.sub(last, 1, order.MESSAGE_BYTES), delay .. ' ' .. entry)
  redis.call('HSET', tails, key, tail_record(message, order.count_in(last) + 1))
  order.finished({entry})
  return true
end

-- Takes ENTRY out, which stands behind MESSAGE, wherever that is in the line of its KEY.
function order.unlink(message, entry)
  local key, own = order.key(entry, 49), message_of(entry)
  local last, follower, waits = redis.call('HGET', tails, key), redis.call('HGET', behind, own), redis.call('HGET', passed, own)
  if follower then redis.call('HSET', behind, message, follower) else redis.call('HDEL', behind, message) end
  if waits then redis.call('HSET', passed, message, waits) else redis.call('HDEL', passed, message) end
  redis.call('HDEL', behind, own)
  redis.call('HDEL', passed, own)
  if not last then return end
  local end_of_line = string.sub(last, 1, order.MESSAGE_BYTES)
  tail_of[key] = tail_record(end_of_line == own and message or end_of_line, math.max(0, order.count_in(last) - 1))
  redis.call('HSET', tails, key, tail_of[key])
  one_less_of({key})
end
end
