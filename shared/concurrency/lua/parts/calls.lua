-- A call that is sent again after a lost answer has one effect: its id is kept until its caller says that the answer
-- came, for as long as the call may be under way, and no more than a thousand of them.
local CALLS_MS = 600 * 1000
local MOST_CALLS = 1000

local function ran_before() return redis.call('ZSCORE', calls, call) end

local function note_call()
  if answered ~= '' then redis.call('ZREM', calls, answered) end
  redis.call('ZADD', calls, string.format('%.0f', now), call)
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', string.format('%.0f', now - CALLS_MS))
  redis.call('ZREMRANGEBYRANK', calls, 0, -MOST_CALLS - 1)
  redis.call('PEXPIRE', calls, CALLS_MS)
end
