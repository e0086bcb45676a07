"""The ledger of a queue: what must hold of it after every command, read from the server in one step.

It believes no reply of the product. The bound: nothing enters while the queue is full. Conservation: what was counted
in and not counted out is there. First come, first served: the line moves on from its front, and nobody is handed a
message that entered behind one which is still pending.
"""

from typing import Any, Final

from tests.simulation.world import World

_LOOK: Final = """#!lua flags=no-writes,allow-oom
local name, held, handed = KEYS[1], {}, {}
local function of(word) return name .. word end
for _, key in ipairs(redis.call('KEYS', of('leased:*'))) do
  for _, entry in ipairs(redis.call('HVALS', key)) do held[#held + 1] = entry end
end
for _, entry in ipairs(redis.call('HVALS', of('handed'))) do
  if entry ~= '' then handed[#handed + 1] = entry end
end
return {
  redis.call('HMGET', of('settings'), 'maxsize', 'flow', 'paused', 'shutdown'),
  redis.call('HMGET', of('totals'), 'put', 'replayed', 'acked', 'dead', 'cancelled', 'onward', 'discarded', 'named'),
  redis.call('LRANGE', of('pending'), 0, -1), redis.call('LRANGE', of('line'), 0, -1), held, handed,
  redis.call('LLEN', of('returned')) + redis.call('LLEN', of('suspects')) + redis.call('ZCARD', of('delayed'))
    + redis.call('ZCOUNT', of('ready'), '1e15', '+inf') + redis.call('ZLEXCOUNT', of('gated'), '[0', '(1'),
  redis.call('HLEN', of('behind')) + redis.call('LLEN', of('released')) + redis.call('ZCOUNT', of('ready'), '-inf', '(1e15')
    + redis.call('ZLEXCOUNT', of('gated'), '[1', '(2'),
  redis.call('HLEN', of('passed')),
  redis.call('HLEN', of('dead')), redis.call('HLEN', of('bodies')),
}
"""
_STAMP: Final = 16
_KEY: Final = 22
_FOLD: Final = b"*"


class Ledger:
    """One queue of a world."""

    def __init__(self, world: World, name: str, failures: list[str]) -> None:
        """Look after every command from here on, and note in `failures` what must not be. `name`: of the queue."""
        self._world, self._name, self._failures = world, name, failures
        self._sha = world.control.call("SCRIPT", "LOAD", _LOOK)
        self.fresh = 0
        """How many were pending after the last command; after a shrink more than the bound may be, and only fewer."""
        self._line: list[bytes] = []
        self._paused_with: set[bytes] | None = None
        """What was in hands when the queue was found to be paused; None while it is not."""
        self._shut_with: int | None = None
        """How much had been put when the queue was found to be shut down."""
        self.empty_at = self.shut_at = self.finished_at = -1.0
        """When there was nothing to do last, when the queue was shut down last, and when both were the case."""
        self.top = self.longest_line = 0
        world.checks.append(self._look)

    def forget(self) -> None:
        """The server came back with other data."""
        self._line, self._paused_with, self._shut_with = [], None, None
        # They may be from behind a shrink: then there are more than the bound, as ever.
        _, _, pending, _, _, _, _, behind, *_ = self._read()
        self.fresh = len(pending) + behind

    def _read(self) -> Any:
        found: Any = self._world.control.call("EVALSHA", self._sha, 1, f"{{{self._name}}}:")
        if isinstance(found, Exception):  # the scripts were flushed
            found = self._world.control.call("EVAL", _LOOK, 1, f"{{{self._name}}}:")
        return found

    def _look(self) -> None:
        settings, totals, pending, line, held, handed, again, behind, passed, letters, bodies = self._read()
        maxsize, flow, paused, shut = settings
        put, replayed, acked, dead, cancelled, onward, discarded, named = (int(total or 0) for total in totals)
        fresh = len(pending) + behind
        if maxsize and int(maxsize) and fresh > max(int(maxsize), self.fresh):
            self._fail(f"{fresh} pending after {self.fresh}, and maxsize is {int(maxsize)}")
        self.fresh, self.top = fresh, max(self.top, fresh)
        there = fresh + again + passed + len(held) + len(handed)
        counted = put + named + replayed - acked - dead - cancelled - onward
        if there != counted:
            self._fail(f"{there} are there, and {counted} by the totals {totals}")
        if letters > dead - replayed - discarded:
            self._fail(f"{letters} dead letters of {dead}, {replayed} replayed and {discarded} discarded")
        if onward > max(bodies, len(line)) and not flow:
            self._fail(f"{onward} forwarded puts wait, and the line has {bodies}")
        self._look_at_controls(paused, shut, {*held, *handed}, put)
        self._note_times(is_empty=counted + onward == 0, is_shut=shut is not None)
        if not flow:  # else what waits for its key goes by that
            self._look_at_the_order(pending, [*held, *handed])
            self._look_at_the_line(line, {entry[_STAMP : _STAMP + _KEY] for entry in (*pending, *held, *handed)})
        self._line, self.longest_line = line, max(self.longest_line, len(line))

    def _look_at_controls(self, paused: bytes | None, shut: bytes | None, out: set[bytes], put: int) -> None:
        before, there = self._paused_with, self._shut_with
        if paused and before is not None and (taken := out - before):
            self._fail(f"{len(taken)} were handed out of a paused queue: {sorted(taken)[:2]}")
        if shut and there is not None and put > there:
            self._fail(f"{put - there} entered a queue that is shut down")
        self._paused_with = out if paused else None
        self._shut_with = put if shut else None

    def _note_times(self, *, is_empty: bool, is_shut: bool) -> None:
        now = self._world.now
        self.empty_at = now if is_empty else self.empty_at
        self.shut_at = now if is_shut else self.shut_at
        self.finished_at = now if is_empty and is_shut else self.finished_at

    def _look_at_the_order(self, pending: list[bytes], out: list[bytes]) -> None:
        stamps = [entry[:_STAMP] for entry in pending]
        if stamps != sorted(stamps):
            self._fail(f"pending is not in the order of its stamps: {stamps[:5]}")
        if stamps and (early := [entry[: _STAMP + _KEY] for entry in out if entry[:_STAMP] > stamps[0]]):
            self._fail(f"handed out before {pending[0][: _STAMP + _KEY]!r}: {early[:3]}")

    def _look_at_the_line(self, line: list[bytes], entered: set[bytes]) -> None:
        """Who waited before whom still does; what went from behind somebody who waits was withdrawn, not let in."""
        stay, before = set(line), self._line
        if any(place[:1] == _FOLD for place in (*line, *before)):  # which becomes places of its own
            return
        waits = [place for place in before if place in stay]
        if line[: len(waits)] != waits:
            self._fail(f"the line is out of order: {waits[:3]}, now {line[:3]}")
        behind = before[before.index(waits[0]) :] if waits else []
        if early := [place for place in behind if place not in stay and place[:_KEY] in entered]:
            self._fail(f"let in before {waits[0]!r}: {early[:3]}")

    def _fail(self, what: str) -> None:
        if len(self._failures) < 5:
            self._failures.append(f"{self._name} at {self._world.now:.3f} s: {what}")
