"""The heartbeat: a thread with a connection of its own that renews what the event loop holds.

A busy loop does not lose its sessions and leases, for the thread renews without it. A hung loop does not hold for ever:
once it has not run for max(three times to live, 10 s) the thread renews no more. (While C code keeps the GIL, the
thread does not run either.)
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from redis.exceptions import ResponseError

from shared.concurrency.session.blocking_wire import BlockingWire
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.log import Log
from shared.concurrency.session.outage import Outage
from shared.concurrency.session.renewable import Renewable
from shared.concurrency.session.timetable import Timetable
from shared.concurrency.session.wires import Wires

log = Log("session")

_AT_ONCE: Final = 500
"""So many are renewed in one round trip; who is nearer to its deadline by then goes with the next one."""
_A_SECOND: Final = 300
"""So many for each second of the shortest time to live: no round trip may take a large part of it."""
_FEWEST: Final = 50
_MOST_BROKEN: Final = 2
"""After so many connections that fail a beat ends."""
_MOST_MOVES: Final = 5
"""So often a name that has moved is looked for in one beat."""


@dataclass(slots=True)
class _Beat:
    """What one beat found, to be reported when all is renewed."""

    failures: list[Exception] = field(default_factory=list)
    broken: list[Exception] = field(default_factory=list)
    """What ended a connection."""
    renewed: list[tuple[Renewable, Call]] = field(default_factory=list)
    refused: list[tuple[Renewable, Call, str]] = field(default_factory=list)
    """With what the server says."""


class Heartbeat:
    """Renews each name a third of its own time to live after the last time, many in a round trip; and all when asked.

    So what is held for long under thousands of names does not cost a short one its life.
    """

    def __init__(
        self, wires: Wires, ttl: float, loop_seen: Callable[[], float], greeted: Callable[[], list[Renewable]]
    ) -> None:
        """Prepare. `ttl`: the session's, in seconds; `loop_seen`: when the event loop ran last, by the local clock.

        `wires`: its connections.

        `greeted`: what has a greeting for a new connection, whether it is to be renewed or not.
        """
        self._loop_seen = loop_seen
        self._greeted = greeted
        self._wires = wires
        self.seen = boottime()
        """When its thread ran last, by the local clock; any thread."""
        self._asked = threading.Event()
        self.timetable: Final = Timetable[Renewable](ttl, self._asked.set)
        """What is renewed; whoever begins to hold something plans it."""
        self._stopped = False
        self._outage = Outage(log, "renewing fails: what is held runs out", "renewing works again")
        self._refused: dict[tuple[str, str], Outage] = {}
        """What the server refuses to renew: the script, and the name."""
        self._thread = threading.Thread(target=self._run, name="weir-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if it runs; waits for the command that is on its way."""
        self._stopped = True
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def _pause(self) -> float:
        """How long to wait after a failure: long before the next of the shortest is due."""
        return min(1.0, self.timetable.shortest / 20)

    @property
    def _patience(self) -> float:
        """How long an answer is waited for: others that are due wait, too."""
        return max(0.2, self.timetable.shortest / 4)

    @property
    def _portion(self) -> int:
        return min(_AT_ONCE, max(_FEWEST, int(_A_SECOND * self.timetable.shortest)))

    def _run(self) -> None:
        while not self._stopped:
            self.seen = boottime()
            if self._asked.wait(max(0.0, self.timetable.next_at - boottime())):
                self._asked.clear()
                continue  # sooner than planned, or for ever
            try:
                if self._beat():
                    self._outage.is_over()
            except Exception as error:  # noqa: BLE001  # a thread that ends lets every session and lease run out
                self.timetable.rest(self._pause)
                self._outage.goes_on(f"{type(error).__name__}: {error}")
        self._wires.disconnect()

    def _beat(self) -> bool:
        """Renew what is due; whether anything was."""
        beat = _Beat()
        try:
            while not (self._stopped or beat.broken) and (due := self.timetable.take(self._portion, self._pause)):
                for _ in range(_MOST_MOVES):
                    due = self._pass(due, boottime() - self._loop_seen(), beat)
                    if not due:
                        break
        finally:
            self._report(beat)
        for failure in (*beat.broken, *beat.failures):
            raise failure
        return bool(beat.renewed or beat.refused)

    def _pass(self, due: list[Renewable], loop_idle: float, beat: _Beat) -> list[Renewable]:
        """Renew on one connection after the other; those of them that are served elsewhere."""
        elsewhere: list[Renewable] = []
        for wire, renewables, strangers in self._wires.groups(due):
            try:
                if not wire.is_open and any(each.shortest_ttl < math.inf for each in renewables):
                    self._wires.connect(wire, self.timetable.shortest)
                    # A server that was started again must know it before it judges any deadline.
                    self._greet(wire, self._wires.of(wire, self._greeted()))
                self._greet(wire, strangers)
                elsewhere += self._renew(wire, renewables, loop_idle, beat)
            except Exception as error:  # noqa: BLE001  # what is held at other servers goes on
                self._wires.failed(wire)
                beat.broken.append(error)
                if len(beat.broken) == _MOST_BROKEN:
                    break  # each has cost time: those that answer come first after a pause
        return elsewhere

    def _renew(self, wire: BlockingWire, due: list[Renewable], loop_idle: float, beat: _Beat) -> list[Renewable]:
        """Renew in one round trip; those that are served elsewhere. What fails is reported by the caller."""
        asked: list[tuple[Renewable, Call]] = []
        failed: set[Renewable] = set()
        """Due again after a pause, as the timetable has it for all that are taken."""
        elsewhere: list[Renewable] = []
        for renewable in due:
            try:
                asked += [(renewable, call) for call in renewable.renewals(wire.run_id, loop_idle)]
            except Exception as error:  # noqa: BLE001  # see above
                failed.add(renewable)
                beat.failures.append(error)
        sent_at = boottime()
        answers = wire.run([call for _, call in asked], self._patience)
        for (renewable, call), answer in zip(asked, answers, strict=True):
            if isinstance(answer, ResponseError):  # one spoilt name must not end what is held under the others
                goes_again = self._wires.goes_again(wire, renewable, answer)
                if goes_again is not None:
                    failed.add(renewable)
                if goes_again:
                    elsewhere.append(renewable)
                else:
                    beat.refused.append((renewable, call, str(answer)))
                continue
            beat.renewed.append((renewable, call))
            try:
                renewable.renewed(call, sent_at, answer)
            except Exception as error:  # noqa: BLE001  # see above
                failed.add(renewable)
                beat.failures.append(error)
        for renewable in due:
            if renewable not in failed:
                self.timetable.renewed(renewable, sent_at)
        return list(dict.fromkeys(elsewhere))

    def _report(self, beat: _Beat) -> None:
        for renewable, call in beat.renewed if self._refused else ():
            outage = self._refused.pop((call.script.name, renewable.name), None)
            if outage is not None:
                outage.is_over()
        for renewable, call, problem in beat.refused:
            about = script, name = call.script.name, renewable.name
            if about not in self._refused:
                self._refused[about] = Outage(
                    log, "a session or a lease could not be renewed", "it is renewed again", script=script, name=name
                )
            self._refused[about].goes_on(problem)

    def _greet(self, wire: BlockingWire, renewables: list[Renewable]) -> None:
        greetings = [call for each in renewables if (call := each.greeting(wire.run_id)) is not None]
        for first in range(0, len(greetings), _AT_ONCE):
            portion = greetings[first : first + _AT_ONCE]
            for greeting, answer in zip(portion, wire.run(portion, self._patience), strict=True):
                # Where it is refused the renewal is refused too, and says why.
                if greeting.at_reply is not None and not isinstance(answer, ResponseError):
                    greeting.at_reply(answer)
