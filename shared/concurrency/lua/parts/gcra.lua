-- A rate is kept as GCRA: `tat` is the time at which all that was let go is paid for, each with one interval.
interval, burst = tonumber(interval), tonumber(burst)

-- What is not paid for yet, in microseconds, and whether somebody was late since anybody waits. More than anybody can owe says that the
-- clock went back: it is cut to that, and stays so, or it would be as much at each call until the clock is where it was.
local function debt()
  local stored = redis.call('HMGET', rate, 'tat', 'most', 'late')
  local most, owed = math.max(tonumber(stored[2] or 0), interval * burst), math.max(0, tonumber(stored[1] or 0) - now_us)
  if owed > most then
    owed = most
    redis.call('HSET', rate, 'tat', number(now_us + owed))
    redis.call('PEXPIRE', rate, number(math.ceil(owed / 1000) + 1 + (stored[3] and time_to_live(id) + 1000 or 0)))
  end
  return owed, stored[3]
end

local function tokens(owed) return math.floor((interval * burst - owed) / interval) end

-- When whoever has RANK in the line may go, in microseconds from now, if all in front of it come at their times.
local function time_of(rank, owed) return math.max(0, owed + (rank + 1 - burst) * interval) end
