-- A call that is repeated, or that runs late on a connection which was dropped, has one effect: its answer, numbers only, is
-- kept in the lane of the process.
local lane = owner_of(session) .. ':letters'

-- What was answered to this number before; zeros for a number below the last one: nobody waits for that answer.
local function answered()
  local last, answer = string.match(redis.call('HGET', lanes, lane) or '', '^%d+ (%d+) (.*)$')
  if not last or tonumber(number) > tonumber(last) then return nil end
  local numbers = {}
  for word in string.gmatch(answer, '%d+') do numbers[#numbers + 1] = number == last and tonumber(word) or 0 end
  return numbers
end

local function answer_once(numbers)
  redis.call('HSET', lanes, lane, string.format('%.0f', now) .. ' ' .. number .. ' ' .. table.concat(numbers, ' '))
  return numbers
end
