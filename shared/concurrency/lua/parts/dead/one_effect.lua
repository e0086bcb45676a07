-- An administrative step that is repeated, or that runs late on a connection which was dropped, has one effect: its answer, words
-- without spaces, is kept in the lane of the process.
local lane = owner_of(session) .. ':letters'

-- The last number, and its answer as it is kept.
local function recorded() return string.match(redis.call('HGET', lanes, lane) or '', '^%d+ (%d+) (.*)$') end

-- What was answered to this number before; zeros for a number below the last one: nobody waits for that answer. Or what a script
-- answers that may not run: see the part `level`.
local function answered()
  local last, answer = recorded()
  if not last or tonumber(number) > tonumber(last) then
    local level = tonumber(redis.call('HGET', settings, 'flow') or 0)
    return level > KNOWN_LEVEL and {'flow', level} or nil
  end
  local words = {}
  for word in string.gmatch(answer, '%S+') do words[#words + 1] = number == last and (tonumber(word) or word) or 0 end
  return words
end

local function answer_once(words)
  redis.call('HSET', lanes, lane, string.format('%.0f', now) .. ' ' .. number .. ' ' .. table.concat(words, ' '))
  return words
end
