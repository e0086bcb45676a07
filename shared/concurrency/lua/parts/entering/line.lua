-- The line: in `putters` a place for each put that waits, in order of arrival, in `bodies` what waits there. A place is the key of
-- the put, with `@` and the number of the call behind it where it was put again; it counts while `bodies` has that key with the
-- same number. So a put leaves a long line by its body alone: its place is passed over when its turn comes.
-- WAITS finds in a body who waits (a session, or `+OWNER`), what the place has behind the key, and where the entry begins.
-- A *fold* is one place for many puts that came with one acknowledgement: `*OWNER`, how many they are (5 digits), and each entry
-- behind its length (8 digits). Its turn come, it is unfolded: each of its puts has a place of its own then, in its stead.
local KEY_BYTES, SHORT_LINE, PLUS, FOLD, WAITS = 22, 1000, 43, 42, '^([^ @]*)(@?%d*) ()'

-- How much is in line.
local function in_line()
  -- FLOW
  do return redis.call('LLEN', putters) + redis.call('ZCARD', line_fair) + redis.call('ZLEXCOUNT', line_own, '[!', '("') end
  -- END
  return redis.call('LLEN', putters)
end

-- The entries of a fold, which begin at FROM of its body.
local function entries_of(body, from)
  local entries, at = {}, from + 5
  while at <= #body do
    local size = tonumber(string.match(string.sub(body, at, at + 7), '^%d+$'))
    if not size then break end -- it is no fold of ours
    entries[#entries + 1] = string.sub(body, at + 8, at + 7 + size)
    at = at + 8 + size
  end
  return entries
end
