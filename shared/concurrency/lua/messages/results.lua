#!lua flags=allow-oom
-- Looks up outcomes that a submitter may have missed, forgets those that it has received, marks messages that it cancelled, and
-- looks up the message behind each id. All of it may be repeated.
-- KEYS results results_due marks ids
-- ARGV
--   heard     keys (22 bytes each) of outcomes that were received
--   unwanted  keys of messages that the submitter cancelled
--   wanted    keys to look up: until there is 1 MiB of outcomes, 4 MiB at most, or one that is larger
--   revived   how many of the ids, from the first on, are submitted again; the others are only listened to
--   asked     ... ids
-- RETURNS how many of the wanted were looked up; the outcomes found, each behind its key; for each id the key of its message, ''
--   when its result was never asked for, 0 when the id is not known. Where there is no outcome, `~` and how far the handler is
-- PARTS clock marking
local function split(blob)
  local keys = {}
  for at = 1, #blob, 22 do keys[#keys + 1] = string.sub(blob, at, at + 21) end
  return keys
end
local function forget(keys)
  for first = 1, #keys, 1000 do
    local slice = {unpack(keys, first, math.min(first + 999, #keys))}
    redis.call('HDEL', results, unpack(slice))
    redis.call('ZREM', results_due, unpack(slice))
  end
end
for _, key in ipairs(split(unwanted)) do
  -- One that is answered already is not in the queue any more.
  if redis.call('HEXISTS', results, key) == 0 then give_up(key) end
end
if unwanted ~= '' then redis.call('PEXPIRE', marks, 691200000) end
forget(split(heard))
local looked, bytes, found = 0, 0, {}
for _, key in ipairs(split(wanted)) do
  if bytes >= 1048576 or bytes > 0 and bytes + redis.call('HSTRLEN', results, key) > 4194304 then break end
  looked = looked + 1
  local outcome = redis.call('HGET', results, key)
  if not outcome then
    local report = redis.call('HGET', results, key .. '~')
    outcome = report and '~' .. report
  end
  if outcome then
    found[#found + 1] = key
    found[#found + 1] = outcome
    bytes = bytes + #outcome
  end
end
local met = {}
for at, id in ipairs(asked) do
  local record = redis.call('HGET', ids, id)
  local key = record and (string.match(record, '^%S+ %S+ ([^%s-]%S*)') or '')
  local mark = key and key ~= '' and redis.call('ZSCORE', marks, key)
  -- One that its submitter gave up is wanted again; one for which `cancel` was called never comes back.
  local is_revived = at <= tonumber(revived)
  if mark and is_revived and tonumber(mark) % 1 == 0 then redis.call('ZREM', marks, key) end
  -- Whose time is over is kept until another id is recorded: its outcome may be gone, and would be waited for in vain.
  local is_over = key and not is_revived and tonumber(string.match(record, '^%d+')) <= now
  met[#met + 1] = key and not (is_over and redis.call('HEXISTS', results, key) == 0) and key or 0
end
return {looked, found, met}
