-- An entry begins STAMP(16) KEY(22) CRASHES(1) DELIVERIES(6) FAILURES(3); its first 45 bytes are its field in `leased`.

-- The entry once its hand-out is over: one delivery more, and a crash or a failure where there was one.
local function counted(entry, crash, failure)
  return string.sub(entry, 1, 38)
    .. math.min(9, tonumber(string.sub(entry, 39, 39)) + crash)
    .. string.format('%06d', math.min(999999, tonumber(string.sub(entry, 40, 45)) + 1))
    .. string.format('%03d', math.min(999, tonumber(string.sub(entry, 46, 48)) + failure))
    .. string.sub(entry, 49)
end
local function crashes_of(entry) return tonumber(string.sub(entry, 39, 39)) end

-- Moves leased FIELDS back into the queue in the order given; returns those that were not there, joined.
-- From the second crash on a message is suspect and goes to a list of its own; the fifth makes it a dead letter.
local function put_back(fields, crash)
  local missing = {}
  for first = 1, #fields, 500 do
    local slice = {unpack(fields, first, math.min(first + 499, #fields))}
    local entries, again, suspect = redis.call('HMGET', leased, unpack(slice)), {}, {}
    for i, field in ipairs(slice) do
      local entry = entries[i] and counted(entries[i], crash, 0)
      if not entry then
        missing[#missing + 1] = field
      elseif crashes_of(entry) >= 5 then
        bury(string.sub(entry, 17, 38), entry, 'crashed', 'its consumer ended, without an answer, five times')
      elseif crashes_of(entry) >= 2 then
        suspect[#suspect + 1] = entry
      else
        again[#again + 1] = entry
      end
    end
    if #again > 0 then redis.call('RPUSH', returned, unpack(again)) end
    if #suspect > 0 then redis.call('RPUSH', suspects, unpack(suspect)) end
    redis.call('HDEL', leased, unpack(slice))
  end
  return table.concat(missing)
end
