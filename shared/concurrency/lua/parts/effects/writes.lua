-- The writes that travel with an acknowledgement: all of a delivery are checked first, and made then. A write is a command, a
-- key, and words[first..last] as its operands. Nothing that passes the check can fail. Numbers stay where a double is exact.
local LARGEST = 9007199254740991

-- What the writes checked so far leave: for each key its kind and its values, and whether nothing of the server's counts
-- any more. Those of one delivery that is refused are not made: all is read anew then, with what the others before it add.
local left = {}
local function state_of(key)
  if not left[key] then left[key] = {kind = redis.call('TYPE', key).ok, fresh = false, values = {}} end
  return left[key]
end
local function replaced(key, kind)
  left[key] = {kind = kind, fresh = true, values = {}}
  return left[key]
end

local write_all_amounts
local function forget_checked()
  write_all_amounts()
  left = {}
end

-- What a text, or a sum, is as a number; nil where that is none that can be added to. Most amounts are the same few, so what
-- was read or written of them is kept.
local numbers, texts = {['0'] = 0}, {}
local function whole(value)
  if type(value) == 'number' then return value end
  local number = numbers[value]
  if not number and string.match(value, '^%-?[1-9]%d*$') then
    number = tonumber(value)
    numbers[value] = number
  end
  return number
end
local function text_of(number)
  local text = texts[number] or string.format('%.0f', number)
  texts[number] = text
  return text
end
local function sum(value, amount)
  local before, more = whole(value or 0), whole(amount)
  local total = before and more and before + more
  return total and math.abs(total) <= LARGEST and total or nil
end

-- Reads what a hash holds under the fields words[first], words[first + 2]... up to LAST, where that is not known.
local function learn(key, state, words, first, last)
  if state.fresh then return end
  local unknown, count, values = {}, 0, state.values
  local function ask()
    if count == 0 then return end
    local found = redis.call('HMGET', key, unpack(unknown, 1, count))
    for i = 1, count do values[unknown[i]] = found[i] end
    count = 0
  end
  for at = first, last, 2 do
    local field = words[at]
    if values[field] == nil then
      count = count + 1
      unknown[count] = field
      if count == 1000 then ask() end
    end
  end
  ask()
end

-- What a write calls, with arguments of the right number: the caller's ACL may forbid it.
local CALLS = {
  hincrby = {{'HMGET', 'a'}, {'HINCRBY', 'a', 1}}, hset = {{'HSET', 'a', 1}}, set = {{'SET', 1}}, incrby = {{'GET'}, {'INCRBY', 1}},
  rpush = {{'RPUSH', 1}}, sadd = {{'SADD', 1}}, delete = {{'DEL'}}, expire = {{'PEXPIRE', 1}},
}
-- Asked once for each command and key: no rule changes within a script.
local allowed = {}
local function is_allowed(command, key)
  local known = allowed[command .. key]
  if known ~= nil then return known end
  known = true
  for _, call in ipairs(CALLS[command]) do known = known and redis.acl_check_cmd(call[1], key, unpack(call, 2)) end
  allowed[command .. key] = known
  return known
end

-- What stands against a write: nil, 'number' where that is none that can be added to, 'type' and the kind found, or
-- 'forbidden' by the ACL.
local KIND = {hincrby = 'hash', hset = 'hash', incrby = 'string', rpush = 'list', sadd = 'set'}
local function check_write(words, command, key, first, last)
  if not is_allowed(command, key) then return 'forbidden' end
  if command == 'delete' then
    replaced(key, 'none')
    return nil
  elseif command == 'expire' then
    return nil
  elseif command == 'set' then
    replaced(key, 'string').values[''] = words[first]
    return nil
  end
  local state = state_of(key)
  if state.kind == 'none' then
    state = replaced(key, KIND[command])
  elseif state.kind ~= KIND[command] then
    return 'type ' .. state.kind
  end
  if command == 'hset' then
    for at = first, last, 2 do state.values[words[at]] = words[at + 1] end
  elseif command == 'hincrby' then
    learn(key, state, words, first, last)
    local values = state.values
    for at = first, last, 2 do
      local field = words[at]
      local total = sum(values[field], words[at + 1])
      if not total then return 'number' end
      values[field] = total
    end
  elseif command == 'incrby' then
    if state.values[''] == nil and not state.fresh then state.values[''] = redis.call('GET', key) end
    local total = sum(state.values[''], words[first])
    if not total then return 'number' end
    state.values[''] = total
  end
  return nil
end

-- What is added to fields of hashes, by key: many deliveries of a call add to the same ones, and each field is written once.
-- Written before anything else is done to the key, but that it expires, before the server is read anew, and at the end.
local amounts_of = {}
local function write_amounts(key)
  local amounts = amounts_of[key]
  if not amounts then return end
  for field, amount in pairs(amounts) do redis.call('HINCRBY', key, field, text_of(amount)) end
  amounts_of[key] = nil
end
write_all_amounts = function()
  for key in pairs(amounts_of) do write_amounts(key) end
end
local function add_amounts(words, key, first, last)
  local amounts = amounts_of[key] or {}
  for at = first, last, 2 do
    local field, amount = words[at], whole(words[at + 1])
    local before = amounts[field]
    if before and math.abs(before + amount) > LARGEST then
      -- The sum in the server stays where a double is exact; what leads to it need not.
      redis.call('HINCRBY', key, field, text_of(before))
      before = nil
    end
    amounts[field] = before and before + amount or amount
  end
  amounts_of[key] = amounts
end

local COMMAND = {hset = 'HSET', rpush = 'RPUSH', sadd = 'SADD'}
local function make(words, command, key, first, last)
  if command == 'hincrby' then
    add_amounts(words, key, first, last)
    return
  elseif command == 'expire' then
    -- What is added to a key that is there may wait for what later deliveries add.
    if redis.call('PEXPIRE', key, words[first]) == 0 and amounts_of[key] then
      write_amounts(key)
      redis.call('PEXPIRE', key, words[first])
    end
    return
  end
  write_amounts(key)
  if command == 'set' then redis.call('SET', key, words[first])
  elseif command == 'incrby' then redis.call('INCRBY', key, words[first])
  elseif command == 'delete' then redis.call('DEL', key)
  else
    for at = first, last, 1000 do redis.call(COMMAND[command], key, unpack(words, at, math.min(at + 999, last))) end
  end
end
