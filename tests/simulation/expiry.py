"""Expiry: what some scripts let expire goes by the world's clock.

By the server's own it would go at another time in each run.
"""

from typing import Any, Final

KEPT: Final = "sim:expiry"
"""A hash: key -> when it expires, in ms of the world's clock."""

_SCRIPTS: Final = ("rate_acquire", "rate_leave")
_PARTS: Final = ("rate", "gcra")
"""What they have of their own; the first one before the others."""
_SHIM: Final = f"""
do
  local kept = redis.call('HGETALL', '{KEPT}')
  for at = 1, #kept, 2 do
    local is_over = tonumber(kept[at + 1]) <= now
    if is_over then redis.call('DEL', kept[at]) end
    if is_over or redis.call('EXISTS', kept[at]) == 0 then redis.call('HDEL', '{KEPT}', kept[at]) end
  end
end
local function sim_pexpire(key, ms)
  if redis.call('EXISTS', key) == 1 then redis.call('HSET', '{KEPT}', key, string.format('%.0f', now + tonumber(ms))) end
end
local function sim_pttl(key)
  local at = redis.call('HGET', '{KEPT}', key)
  return at and tonumber(at) - now or -1
end
"""


def install(scripts: Any) -> None:
    """Have these scripts, of the module that reads them, keep their times with the world's clock."""
    for kind, names in ((scripts._SCRIPTS, _SCRIPTS), (scripts._PARTS, _PARTS)):
        for name in names:
            for command in ("PEXPIRE", "PTTL"):
                kind[name] = kind[name].replace(f"redis.call('{command}', ", f"sim_{command.lower()}(")
    scripts._PARTS[_PARTS[0]] = _SHIM + scripts._PARTS[_PARTS[0]]
