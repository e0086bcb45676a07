-- Takes entries for a session, WANT at most; they are leased from then on. A reply is full with 1 MiB, and carries 4 MiB or one
-- entry at most: the server drops a subscriber whose replies pass its limit, and would do so again with the same ones.
-- What a call looks at and does not deliver (cancelled, no entry, set aside, put among the suspects) is bounded likewise: `passed`.
local ENOUGH_BYTES, MOST_BYTES, MOST_PASSED = 1048576, 4194304, 500
local entries, bytes, passed, passed_bytes = {}, 0, 0, 0
local is_full, largest = false, 0
-- What is of a later protocol: set aside, uncounted, for a consumer that knows it.
local ASIDE_MS, aside = 60000, {}
-- FLOW
local too_early = {}
-- END
want = tonumber(want)

local function pass_over(entry) passed, passed_bytes = passed + 1, passed_bytes + #entry end
local function has_passed_enough() return passed >= MOST_PASSED or passed_bytes >= MOST_BYTES end

-- So many of SLICE as there is room for, if none is larger than those seen so far.
local function fitting(slice)
  local room = MOST_BYTES - bytes - passed_bytes
  return slice * largest > room and math.max(1, math.floor(room / largest)) or slice
end

-- Takes of the entries found, from the first on, what the reply has room for; returns how many. Its loop runs for each message, so
-- it counts in locals of its own.
local function lease(found)
  local unwanted = #found > 0 and marked and marked.of(found)
  -- FLOW
  local named, free_names = order.named(found), {}
  -- END
  local pairs_to_set, at, count, size_of_all, largest_of_all, taken = {}, 0, #entries, bytes, largest, 0
  for i = 1, #found do
    local entry = found[i]
    -- FLOW
    local waits = named and named[i]
    if waits then entry = order.newest(entry, waits.name) end
    -- END
    local size = #entry
    if size > largest_of_all then largest_of_all = size end
    if size_of_all + size > MOST_BYTES and count > 0 then
      is_full = true
      break
    end
    taken = i
    local is_gone = unwanted and unwanted[i] and is_entry(entry)
    -- FLOW
    local is_early = waits and not is_gone and waits.due > steady_now
    if is_early then
      -- It stood behind another of its KEY, and has to be calm still.
      too_early[#too_early + 1], too_early[#too_early + 2] = waits.due, found[i]
      order.give_up_places({found[i]})
      pass_over(entry)
    elseif waits then
      free_names[#free_names + 1] = i
    end
    if not is_early then
    -- END
    if is_gone then
      marked.end_as(entry, 'removed')
      pass_over(entry)
      passed = passed + 1 -- it is twice the work
      -- FLOW
    elseif not order.is_delivered(found[i]) then
      -- As it stood there: its name is not free.
      if waits then free_names[#free_names] = nil end
      pass_over(entry)
      -- END
    elseif is_entry(entry) then
      pairs_to_set[at + 1] = string.sub(entry, 1, 45)
      pairs_to_set[at + 2] = entry
      at, count = at + 2, count + 1
      entries[count] = entry
      size_of_all = size_of_all + size
    elseif is_of_later_protocol(entry) then
      aside[#aside + 1] = entry
      pass_over(entry)
    else
      -- No put of ours wrote this: it has no key of its own, and must not stop the queue.
      redis.call('HINCRBY', totals, 'put', 1)
      local key = 'unreadable' .. string.format('%012.0f', redis.call('HINCRBY', totals, 'unreadable', 1))
      make_dead_letter(key, entry, 'undecodable', 'not an entry')
      pass_over(entry)
    end
    -- FLOW
    end
    -- END
  end
  if at > 0 then redis.call('HSET', leased, unpack(pairs_to_set)) end
  -- FLOW
  order.delivered()
  if order.delivered_count >= 400 then is_full = true end
  for _, i in ipairs(free_names) do order.forget_name(named[i].name, string.sub(found[i], 17, 38)) end
  -- END
  bytes, largest = size_of_all, largest_of_all
  if bytes >= ENOUGH_BYTES then is_full = true end
  return taken
end

-- Reads as many at a time as have room if none is larger than those seen so far; the first one is looked at before others.
local function take_from(list, most)
  local taken = 0
  while taken < most and want > #entries and not is_full and not has_passed_enough() do
    local slice = math.min(most - taken, want - #entries, taken == 0 and 16 or 128)
    if slice > 1 and largest == 0 then
      local first = redis.call('LINDEX', list, 0)
      if not first then break end
      largest = #first
    end
    local found = redis.call('LRANGE', list, 0, fitting(slice) - 1)
    if #found == 0 then break end
    local leased_now = lease(found)
    redis.call('LTRIM', list, leased_now, -1)
    taken = taken + leased_now
  end
end

-- FLOW
-- As `take_from`, of all lists that there are.
local function take_merged()
  while want > #entries and not is_full and not has_passed_enough() do
    local found = order.first_of_all(largest == 0 and 1 or fitting(math.min(want - #entries, 128)))
    if #found == 0 then break end
    order.remove_first(lease(found), #found)
  end
end
-- END

-- Behind the takes, or one of what is delayed would meet it again.
local function set_aside()
  for _, entry in ipairs(aside) do redis.call('ZADD', delayed, steady_now + ASIDE_MS, entry) end
  -- FLOW
  for i = 1, #too_early, 2 do
    redis.call('ZADD', delayed, too_early[i], too_early[i + 1])
    soonest = math.min(soonest, too_early[i])
  end
  -- END
end

local function holds_suspect()
  for _, receipt in ipairs(redis.call('HKEYS', leased)) do
    if crashes_of(receipt) >= 2 then return true end
  end
  return false
end

-- Take and admit in turn, or a small bound would cost one trip for every maxsize messages.
local function take_pending(paused, maxsize, shut)
  local admitted
  repeat
    -- One that is dropped may let a put in that waits for its KEY: the line is looked at behind it.
    if not paused and want > #entries and not is_full then
      local is_merged = false
      -- FLOW
      is_merged = order.count_beside_pending() > 0
      -- END
      if not is_merged then take_from(pending, math.huge) end
      -- FLOW
      -- One that is dropped lets the next of its KEY go, which is in `released` from then on.
      if order.count_beside_pending() > 0 then take_merged() end
      -- END
    end
    admitted = in_line() > 0 and admit(room(maxsize), shut) or 0
  until admitted == 0 or want <= #entries or is_full
end
