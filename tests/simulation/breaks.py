"""Breaks: small bugs of the product, each with the workload whose judge finds it.

What breaks is Python, run once the product lives in the simulated world.
"""

from typing import Final

SPOILT: Final = """
from shared.concurrency.session import scripts
found = scripts.{folder}["{name}"]
assert {sound!r} in found
scripts.{folder}["{name}"] = found.replace({sound!r}, {broken!r})
"""
"""A script, or a part of scripts, with another text."""


def _script(name: str, sound: str, broken: str) -> str:
    return SPOILT.format(folder="_SCRIPTS", name=name, sound=sound, broken=broken)


def _part(name: str, sound: str, broken: str) -> str:
    return SPOILT.format(folder="_PARTS", name=name, sound=sound, broken=broken)


_IN_AGAIN = _script("put", "if number == before then", "if false then")
_BESIDE_ITS_KEY = _part("order", "if not last then return false end\n  now_behind", "do return false end\n  now_behind")
_AS_PUT_FIRST = _part("take", "if waits then entry = order.newest(entry, waits.name) end", "")
_ONE_AT_ONCE_TOO_MANY = _part("gates", "+ state.held < state.at_once", "+ state.held <= state.at_once") + _part(
    "openings", "state.held < state.at_once", "state.held <= state.at_once"
)
_THE_FORGOTTEN_ARE_LIVE = _part("sessions", "deadline ~= false and", "deadline == false or")
_SILENCE_IS_NOT_NOTICED = """
from shared.concurrency.session.calls import Calls
Calls.silent_for = lambda self: 0.0
"""
_CLOCK_IS_BELIEVED = _part("steady", "if steady < seen then", "if false then")

_ONE_TOKEN_TWICE = _part("lease", "math.max(last_token + 1, now_us)", "math.max(last_token, now_us)")
_TOKENS_BY_THE_CLOCK = _part("uncontended_acquire", "math.max(last + 1, now_us)", "now_us")

_HOLD_STAYS_IN_RECORD = _part("uncontended_release", "redis.call('HDEL', record, id, id .. ':who')", "")
_WITHDRAWN_WAITS_ON = _script("release", "  forget_waiter(id)\n", "")
_WAITER_STAYS = _script("condition_leave", "redis.call('ZREM', waiters, id)", "")
_WATCHERS_STAY = _script("event_set", "redis.call('DEL', watchers)", "")
_OUTCOME_STAYS = _script("barrier_leave", "redis.call('ZREM', key, id)", "")
_TURN_IS_NOT_LEFT = """
from shared.concurrency.locks.rate_limit import Turn
async def nothing(self): pass
Turn._leave = nothing
"""
_LISTENS_ON = """
from contextlib import contextmanager
from shared.concurrency.session.parts import Listener, Parts
@contextmanager
def listening(self, word, name, id=""):
    listener = Listener()
    self._receivers.setdefault((word, f"{name} {id}" if id else name), {})[listener] = None
    yield listener
Parts.listening = listening
"""
_RENEWED_FOR_EVER = """
from shared.concurrency.session.process import Process
Process.renew_no_more = lambda *_: None
"""

BREAKS: Final = (
    ("puts", 4, _IN_AGAIN, "went in twice"),
    ("keys", 1, _BESIDE_ITS_KEY, "was handed out before .* were done"),
    ("once", 1, _AS_PUT_FIRST, r"lost \[.*\] of n\d"),
    ("limits", 1, _ONE_AT_ONCE_TOO_MANY, r"in hands at .*: \d"),
    ("losses", 5, _THE_FORGOTTEN_ARE_LIVE, "stuck at"),
    ("outages", 1, _SILENCE_IS_NOT_NOTICED, "stuck at|nothing is left to do"),
    ("clocks", 4, _CLOCK_IS_BELIEVED, "stuck at"),
    ("leases", 1, _ONE_TOKEN_TWICE, r"the token \d+ twice"),
    ("permits", 1, _TOKENS_BY_THE_CLOCK, r"the token \d+ of x behind \d+"),
    ("leases", 1, _HOLD_STAYS_IN_RECORD, r"at rest: \{c\}:lease still has"),
    ("downgrades", 1, _WITHDRAWN_WAITS_ON, r"at rest: \{c\}:lease:\w+ (still has|is left)"),
    ("conditions", 1, _WAITER_STAYS, r"at rest: \{c\}:condition:waiters is left"),
    ("events", 1, _WATCHERS_STAY, r"at rest: \{e\}:event:watchers is left"),
    ("barriers", 1, _OUTCOME_STAYS, r"at rest: \{b\}:barrier:passed still has"),
    ("rates", 1, _TURN_IS_NOT_LEFT, r"at rest: \{r\}:rate:line (still has|is left)"),
    ("events", 1, _LISTENS_ON, r"left in \w+: \d listeners"),
    ("permits", 1, _RENEWED_FOR_EVER, r"left in \w+: \d names to renew"),
)
"""The workload, the first of the seeds, what breaks, and what the judge says of it."""
