-- Once: of a NAME at most one message waits to be handed out, of the flow set. `once` has under NAME `FIRST DUE STUB`: when it was put
-- first, and when it is due, in ms of the clock that never goes back (0: at once); STUB is what stands in the queue, the whole entry where it
-- has to be found among what is delayed, else its stamp and key. `=NAME` has what the newest put replaced it by, from its FLAG on;
-- `#KEY` the NAME of the message with that key. The script that hands it out deletes all three: a put after that is a new message.
do
local MOST_DELAY_MS = 604800000

-- What a put of a NAME asks for: `r` where it replaces what waits, `k` where it adds nothing then; and calm, longest and every, in ms, 0
-- for none. FROM: where that stands, behind the flow.
local function asked(entry, from)
  local how, calm, longest, every = string.match(entry, '^,"once":"([rk]) (%d+) (%d+) (%d+)"', from)
  return how or 'k', math.min(tonumber(calm or 0), MOST_DELAY_MS), tonumber(longest or 0), tonumber(every or 0)
end

local function steady_ms()
  local kept = redis.call('HMGET', settings, 'clock', 'behind')
  return math.max(now + tonumber(kept[2] or 0), tonumber(kept[1] or 0))
end

local function due_after(at, calm, longest, first)
  return longest > 0 and math.min(at + calm, first + longest) or at + calm
end

-- Who throttles: under an id that nobody can give, without a digest.
local function throttle_id(name) return 'once ' .. name end

-- Whether the message that waits is due sooner now, or can go in with another, which somebody who is idle must know.
order.is_sooner = false

local function move(name, outgoing, first, due, stub, calm, longest)
  local later = due_after(steady_ms(), calm, longest, first)
  redis.call('ZADD', delayed, 'XX', later, stub)
  redis.call('HSET', once, name, string.format('%.0f %.0f ', first, later) .. stub)
  if later < due then order.is_sooner = true end
end

-- What a put of NAME meets: one that waits, which it replaces (`r`) or leaves (`k`), or one so recent that it asks for no other; nil where
-- it is a new message.
function order.meet_name(name, outgoing, from)
  local how, calm, longest, every = asked(outgoing, from)
  local first, due, stub = string.match(redis.call('HGET', once, name) or '', '^(%d+) (%d+) (.*)$')
  if not first then
    local expiry = every > 0 and string.match(redis.call('HGET', ids, throttle_id(name)) or '', '^%d+')
    return expiry and tonumber(expiry) > now and 'k' or nil
  end
  if calm > 0 and due ~= '0' then move(name, outgoing, tonumber(first), tonumber(due), stub, calm, longest) end
  if how == 'k' then return 'k' end
  redis.call('HSET', once, '=' .. name, string.sub(outgoing, 33))
  redis.call('HINCRBY', totals, 'replaced', 1)
  return 'r'
end

-- OUTGOING of a NAME is admitted, and EARLIER waits in line without an owner, which was put before: that one is replaced, or its item is kept.
function order.meet_earlier(name, earlier, outgoing, from)
  if asked(outgoing, from) == 'r' then
    redis.call('HINCRBY', totals, 'replaced', 1)
  else
    redis.call('HSET', once, '=' .. name, string.sub(earlier, 33))
  end
end

local function throttle(name, entry, every)
  if every == 0 then return end
  local expiry = string.format('%.0f', now + math.min(every, LONGEST_KNOWN_MS))
  redis.call('HSET', ids, throttle_id(name), expiry .. ' - -' .. string.sub(entry, 17, 38))
  redis.call('ZADD', ids_due, expiry, throttle_id(name))
end

-- Whether it waits for calm before anybody may have it.
function order.is_calm_first(entry, from)
  local _, calm = asked(entry, from)
  return calm > 0
end

-- A new message of NAME has gone straight into somebody's hands: nothing waits.
function order.handed_named(name, entry, from)
  local _, _, _, every = asked(entry, from)
  throttle(name, entry, every)
end

-- A new message of NAME is admitted. Where it has to be calm first, and stands behind nobody of its KEY, it is delayed here: returns
-- whether it was.
function order.admit_named(name, entry, from, is_behind)
  local _, calm, longest, every = asked(entry, from)
  local at = calm > 0 and steady_ms() or now
  local due = calm > 0 and due_after(at, calm, longest, at) or 0
  local is_delayed = due > 0 and not is_behind
  if is_delayed then redis.call('ZADD', delayed, due, entry) end
  local stub, message = due > 0 and entry or string.sub(entry, 1, 38), string.sub(entry, 17, 38)
  redis.call('HSET', once, name, string.format('%.0f %.0f ', at, due) .. stub, '#' .. message, name)
  throttle(name, entry, every)
  return is_delayed
end
end
