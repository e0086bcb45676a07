-- The line: in `putters` a place for each put that waits, in order of arrival, in `bodies` what waits there. A place is the key of
-- the put, with `@` and the number of the call behind it where it was put again; it counts while `bodies` has that key with the
-- same number. So a put leaves a long line by its body alone: its place is passed over when its turn comes.
local KEY_BYTES, SHORT_LINE, PLUS = 22, 1000, 43

-- Who waits by a body (a session, or `+OWNER`), the `@NUMBER` of its place or '', and where its entry begins.
local function read_body(body)
  local gap = string.find(body, ' ', 1, true)
  local who = string.sub(body, 1, gap - 1)
  local mark = string.find(who, '@', 1, true)
  if not mark then return who, '', gap + 1 end
  return string.sub(who, 1, mark - 1), string.sub(who, mark), gap + 1
end

-- The keys of some places; the places themselves where none has a number.
local function keys_of_places(places)
  local keys = nil
  for i, place in ipairs(places) do
    if #place > KEY_BYTES and not keys then keys = {unpack(places)} end
    if keys then keys[i] = string.sub(place, 1, KEY_BYTES) end
  end
  return keys or places
end

-- Takes a put out; whether it waited.
local function leave_line(key)
  local body = redis.call('HGET', bodies, key)
  if not body then return false end
  redis.call('HDEL', bodies, key)
  if redis.call('LLEN', putters) <= SHORT_LINE then
    local _, mark = read_body(body)
    redis.call('LREM', putters, 1, key .. mark)
  end
  return true
end

-- Removes places at the end of a long line that nobody has any more, and the whole line where nobody waits.
local function tidy_line()
  if redis.call('HLEN', bodies) == 0 then
    redis.call('DEL', putters)
    return
  end
  for _ = 1, 10 do
    if redis.call('LLEN', putters) <= SHORT_LINE then return end
    local places = redis.call('LRANGE', putters, -100, -1)
    local gone = 0
    while gone < #places and redis.call('HEXISTS', bodies, string.sub(places[#places - gone], 1, KEY_BYTES)) == 0 do gone = gone + 1 end
    if gone > 0 then redis.call('LTRIM', putters, 0, -gone - 1) end
    if gone < #places then return end
  end
end
