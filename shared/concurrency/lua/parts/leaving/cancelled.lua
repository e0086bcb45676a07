-- The end of a message that was cancelled: no dead letter, counted, and answered.
local CANCELLED = '!' .. cjson.encode({reason = 'cancelled', error = 'somebody cancelled it', traceback = ''})
local GIVEN_UP = '!' .. cjson.encode({reason = 'cancelled', error = 'its submitter cancelled it', traceback = ''})

-- Forgets the id of a message that its submitter gave up before anybody took it: the id names no message any more, and whoever else
-- submitted it gets an answer.
local function forget_id(key, entry)
  local id = string.byte(entry, 49) == BOTH and headers_of_entry(entry).id
  local known = id and redis.call('HGET', ids, id)
  if known and string.match(known, '(%S+)$') == key then
    redis.call('HDEL', ids, id)
    redis.call('ZREM', ids_due, id)
  end
end

-- Has the id of a message say that it was cancelled, and has ended. It stays known: a put that is repeated must not bring it back.
local function end_id(entry)
  local flag = string.byte(entry, 49)
  local id = (flag == ID or flag == BOTH) and headers_of_entry(entry).id
  local known = id and redis.call('HGET', ids, id)
  if known and string.match(known, '^%d+ %S+ %-?(%S+)$') == key_of(entry) then redis.call('HSET', ids, id, known .. ' !') end
end

-- Ends it as WHAT: removed, for it never begins again, or stopped in somebody's hands. Whoever calls this removes the entry.
local function end_cancelled(entry, what)
  local key = key_of(entry)
  local mark = has_marks() and redis.call('ZSCORE', marks, key)
  local gives_up = mark and is_given_up(mark)
  if gives_up then forget_id(key, entry) else end_id(entry) end
  if is_asked(entry) and not (gives_up and string.byte(entry, 49) ~= BOTH) then
    answer(key, entry, gives_up and GIVEN_UP or CANCELLED, what)
  else
    end_mark(key, what)
  end
  redis.call('HINCRBY', totals, 'cancelled', 1)
end

-- Ends it as removed if `cancel` was called for it; whether it was.
local function drop_cancelled(entry)
  if not is_cancelled(key_of(entry)) then return false end
  end_cancelled(entry, 'removed')
  return true
end
