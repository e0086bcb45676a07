"""Turns: who waits for a rate and who was let go, as the server has it after each command, and whether that may be."""

import re
from typing import Any

from shared.concurrency import Rate
from shared.concurrency.locks.leases.keys import rate_keys
from shared.concurrency.rate import interval_of
from tests.simulation.expiry import KEPT
from tests.simulation.network import EPOCH
from tests.simulation.world import World

_ROUNDED = 1e-5
_ID = re.compile(rb"[a-z0-9]{12}\.\d+\.\d+")
_GRANTED = b"\r\ngranted\r\n"


class Turns:
    """Keeps an account of its own of one rate.

    Each turn costs an interval, and nobody goes while a burst of them is owed; whoever goes leaves so much that all
    who came before and still wait could go in the same moment. Nobody loses a place but by a turn, by leaving, by
    silence, or where nobody receives what it is told.
    """

    def __init__(self, world: World, name: str, rate: Rate) -> None:
        """Look after each command."""
        self._world = world
        self._keys = rate_keys(name)
        self._interval = interval_of(rate) / 1e6
        self._burst = rate.burst
        self.failures: list[str] = []
        self.granted = self.waited = 0
        """Turns, and those of them that had waited."""
        self._paid_at = 0.0
        """When all that was let go is paid for, in virtual seconds."""
        self._arrived: dict[bytes, int] = {}
        """The number of each who waits, in order of arrival."""
        self._count = 0
        self._deadlines: dict[bytes, float] = {}
        world.checks.append(self._look)

    def _look(self) -> None:
        line, deadlines = self._world.control.calls(
            ("ZRANGE", self._keys["line"], 0, -1), ("ZRANGE", self._keys["deadlines"], 0, -1, "WITHSCORES")
        )
        command, answer = self._world.last_command, self._world.last_answer
        asking = _ID.search(command) if self._keys["rate"] in command else None
        there = set(line)
        for one in self._arrived:
            # Whoever asks or leaves may go.
            if one not in there and (asking is None or one != asking[0]) and not self._has_lost_its_place(one):
                self._fail(f"{one!r} lost its place")
        if asking is not None and _GRANTED in answer:
            self._look_at_a_turn(asking[0], line)
        self._keep(line, deadlines)

    def _has_lost_its_place(self, one: bytes) -> bool:
        """Whether it was silent for too long, or cannot receive."""
        now = self._server_ms()
        if self._deadlines.get(one, now) < now:
            return True
        _, count = self._world.control.call("PUBSUB", "NUMSUB", b"weir:" + one[:12])
        return bool(count == 0)

    def _server_ms(self) -> int:
        """Now, as a script has read it."""
        return int((EPOCH + self._world.server_now) * 1e6) // 1000

    def _look_at_a_turn(self, one: bytes, line: list[bytes]) -> None:
        self.granted += 1
        self.waited += one in self._arrived
        number = self._arrived.get(one, self._count)
        in_front = sum(self._arrived[other] < number for other in line)
        now = self._world.now
        self._paid_at = max(self._paid_at, now) + self._interval
        over = (self._paid_at - now) - self._burst * self._interval
        if over > _ROUNDED:
            self._fail(f"{over / self._interval:.2f} over the rate and its burst")
        elif over + in_front * self._interval > _ROUNDED:
            self._fail(f"one went before {in_front} who had come before")

    def _keep(self, line: list[bytes], deadlines: list[Any]) -> None:
        now, before = self._server_ms(), self._deadlines
        self._deadlines = dict(zip(deadlines[::2], map(float, deadlines[1::2]), strict=True))
        for one in line:
            # Whoever was silent for too long and asks again has a new place.
            if one not in self._arrived or before[one] < now <= self._deadlines[one]:
                self._arrived[one] = self._count
                self._count += 1
        self._arrived = {one: self._arrived[one] for one in line}
        numbers = list(self._arrived.values())
        if numbers != sorted(numbers):
            self._fail(f"the line is not in order of arrival: {numbers}")
        if self._deadlines.keys() != self._arrived.keys():
            self._fail("the line and its deadlines differ")

    def look_at_the_end(self) -> None:
        """Whatever is there goes by itself."""
        call = self._world.control.call
        for word, key in self._keys.items():
            if call("EXISTS", key) and not call("HEXISTS", KEPT, key):
                self._fail(f"{word} is kept for ever")

    def _fail(self, what: str) -> None:
        self.failures.append(f"{what} at {self._world.now:.3f} s")
