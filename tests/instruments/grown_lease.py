"""Makes the keys of a lease as large as with thousands of processes; past our own code."""

from collections.abc import Sequence
from typing import Any, Final

from shared.concurrency.locks.leases.keys import lease_keys

FAR: Final = 3_000
"""Milliseconds for which a waiter counts as patient."""

_GROW: Final = """
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4])
for n = 1, tonumber(ARGV[2]) do
  local owner = ARGV[3] == 'one' and 'z00000000000' or string.format('z%011d', n)
  local id = owner .. '.' .. (({holders = 0, line = 1e6, readers = 2e6})[ARGV[1]] + n) .. '.10000'
  if ARGV[1] == 'holders' then
    redis.call('ZADD', KEYS[2], string.format('%.0f', at), id)
    redis.call('HSET', KEYS[1], id, ARGV[5] .. ' ' .. n .. string.format(' %.0f 1 host task', at))
  else
    redis.call('ZADD', KEYS[3], string.format('%.0f', at), id)
    redis.call('ZADD', ARGV[1] == 'readers' and KEYS[5] or KEYS[4], redis.call('HINCRBY', KEYS[1], 'tickets', 1), id)
  end
end
"""


async def grow(
    client: Any, name: str, which: str, count: int, *, owners: str = "many", deadline: int = FAR, mode: str = "r"
) -> None:
    """Add so many `holders`, waiting `readers`, or others in the `line`, of `one` process or of `many`: none lives.

    `deadline`: in how many milliseconds they expire.
    """
    keys: Sequence[bytes] = [lease_keys(name)[word] for word in ("record", "holders", "waiting", "line", "readers")]
    await client.eval(_GROW, len(keys), *keys, which, count, owners, deadline, mode)
