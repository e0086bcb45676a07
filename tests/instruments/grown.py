"""Makes the keys of the queue `jobs` as large as after a long time, or at many processes; past our own code."""

from typing import Any, Final

_FILL: Final = """
local fields = {}
for i = 1, tonumber(ARGV[2]) do
  local id = string.format('%012d', i)
  if ARGV[1] == 'HSET' then
    fields[#fields + 1] = id .. ARGV[3]
    fields[#fields + 1] = ARGV[4]
  else
    fields[#fields + 1] = ARGV[4]
    fields[#fields + 1] = id .. ARGV[3]
  end
  if #fields == 4000 or i == tonumber(ARGV[2]) then
    redis.call(ARGV[1], KEYS[1], unpack(fields))
    fields = {}
  end
end
"""

_LINE: Final = """
local time = redis.call('TIME')
for process = 1, tonumber(ARGV[1]) do
  local owner, keys, waits = string.format('%012d', process), {}, {}
  local session = owner .. '.1.60000'
  redis.call('ZADD', KEYS[1], time[1] * 1000 + 60000, session)
  for number = 1, 500 do
    local key = owner .. string.format('%010d', number)
    keys[number] = key
    waits[2 * number - 1] = key
    waits[2 * number] = session .. ' ' .. key .. '0000000000.0001'
  end
  redis.call('RPUSH', KEYS[2], unpack(keys))
  redis.call('HSET', KEYS[3], unpack(waits))
end
"""


_HOLDS: Final = """
local session, first, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], 'NX', ARGV[4], session)
for number = first + count - 1, first, -1 do
  local receipt = string.format('%016d%s%010d0000000', number, string.sub(session, 1, 12), number)
  redis.call('HSET', KEYS[2], receipt, receipt .. '000.000' .. number)
end
redis.call('HINCRBY', KEYS[3], 'put', count)
"""


async def fill(client: Any, key: str, value: str | int, *, behind: str = "", count: int = 100_000) -> None:
    """So many fields of a hash, or members of a sorted set: owners from 000000000001 on, with something behind."""
    command = "HSET" if key in ("handed", "lanes", "ids") else "ZADD"
    await client.eval(_FILL, 1, f"{{jobs}}:{key}", command, count, behind, value)


async def stand_in_line(client: Any, processes: int) -> None:
    """Have processes from 000000000001 on wait with 500 puts each; they never look at what becomes of these."""
    keys = [f"{{jobs}}:{suffix}" for suffix in ("sessions", "line", "bodies")]
    await client.eval(_LINE, len(keys), *keys, processes)


async def hold(client: Any, session: str, count: int, *, deadline: int = 1, first: int = 1) -> None:
    """Have a session hold the numbers from `first` on; `deadline`: unless it is known, in ms. 1: it is overdue."""
    keys = ["{jobs}:sessions", f"{{jobs}}:leased:{session}", "{jobs}:totals"]
    await client.eval(_HOLDS, len(keys), *keys, session, first, count, deadline)
