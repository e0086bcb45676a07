-- The writes of one delivery: checked all, then made all.
local is_sound_at = {}
local function check_put(place)
  select_queue(place)
  if is_sound_at[place] == nil then is_sound_at[place] = is_sound() end
  local problem = 'unsound'
  if is_sound_at[place] then
    local shut, level = unpack(redis.call('HMGET', settings, 'shutdown', 'flow'))
    problem = shut and 'shutdown' or level and tonumber(level) > KNOWN_LEVEL and 'flow ' .. level or nil
  end
  select_queue(1)
  return problem
end

-- Whether words[first] has staged the folds that follow in the queue at PLACE.
local function are_staged(place, first, last)
  select_queue(place)
  local counts, found = staged_by(words[first]), true
  for at = first + 2, last do found = found and counts[words[at]] ~= nil and redis.call('HEXISTS', bodies, words[at]) == 1 end
  select_queue(1)
  return found
end

-- Behind the folds of a staged write, and how many they are, stand the entries that are in none.
local function last_fold_of(write) return write.first + 1 + tonumber(words[write.first + 1]) end

-- What stands against the first write that cannot be made; nil when all can.
local function problem_of(writes)
  for i, write in ipairs(writes) do
    local problem
    if write.command == 'put' then
      problem = check_put(write.place)
    elseif write.command == 'staged' then
      problem = check_put(write.place)
      if not problem and not are_staged(write.place, write.first, last_fold_of(write)) then return 'unstaged' end
    elseif write.command ~= 'result' then
      problem = check_write(words, write.command, key_at(write.place), write.first, write.last)
    end
    if problem then return 'refused ' .. i .. ' ' .. problem end
  end
  return nil
end
local function check(writes)
  local problem = problem_of(writes)
  if problem then
    forget_checked()
  end
  return problem
end

local fresh = {}
-- Makes them; returns the keys of puts that wait, joined.
local function apply(receipt, writes)
  local waiting_keys = ''
  for _, write in ipairs(writes) do
    if write.command == 'put' then
      select_queue(write.place)
      local entered, keys = forward(session, words, write.first, write.last)
      fresh[write.place] = (fresh[write.place] or 0) + entered
      waiting_keys = waiting_keys .. keys
      select_queue(1)
    elseif write.command == 'staged' then
      select_queue(write.place)
      local behind_folds = last_fold_of(write) + 1
      -- Those in no fold first: they need not wait behind the folds.
      if behind_folds <= write.last then
        local entered, keys = forward(session, words, behind_folds, write.last)
        fresh[write.place] = (fresh[write.place] or 0) + entered
        waiting_keys = waiting_keys .. keys
      end
      local entered, keys = forward_staged(words, write.first, behind_folds - 1)
      fresh[write.place] = (fresh[write.place] or 0) + entered
      waiting_keys = waiting_keys .. keys
      select_queue(1)
    elseif write.command == 'result' then
      local entry = redis.call('HGET', leased, receipt)
      answer(key_of(entry), entry, words[write.first])
    else
      make(words, write.command, key_at(write.place), write.first, write.last)
    end
  end
  return waiting_keys
end

-- Wakes whoever can take what was put, in each queue.
local function wake_getters()
  for place, entered in pairs(fresh) do
    select_queue(place)
    if entered > 0 then wake_one() end
  end
  select_queue(1)
end
