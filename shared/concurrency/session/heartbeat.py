"""The heartbeat: a thread with a connection of its own that renews what the event loop holds.

A busy loop does not lose its sessions and leases, for the thread renews without it. A hung loop does not hold for ever:
once it has not run for max(three times to live, 10 s) the thread renews no more. (While C code keeps the GIL, the
thread does not run either.)
"""

import contextlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.exceptions import NoScriptError, ResponseError
from redis.retry import Retry

from shared.concurrency.session.address import connect_options
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.log import Log
from shared.concurrency.session.outage import Outage

log = Log("session")

_AT_ONCE: Final = 100
"""So many are renewed in one round trip."""


class Renewable(Protocol):
    """What a heartbeat renews; all of it is called in the heartbeat's thread."""

    @property
    def shortest_ttl(self) -> float:
        """The shortest time to live, in seconds, of what is to be renewed; infinite when there is nothing."""

    def greeting(self, run_id: str) -> Call | None:
        """The call that announces the server's run, first on a new connection; None for none."""

    def renewal(self, run_id: str, loop_idle: float) -> Call | None:
        """The call that renews all there is; None when there is nothing.

        `loop_idle`: for how many seconds the event loop has not run.
        """

    def renewed(self, call: Call, sent_at: float, answer: list[Any]) -> None:
        """Receive the answer to a renewal; `sent_at`: when that was sent, by the local clock."""


@dataclass(slots=True)
class _Beat:
    """What one beat found, to be reported when all is renewed."""

    failures: list[Exception] = field(default_factory=list)
    renewed: list[Call] = field(default_factory=list)
    refused: list[tuple[Call, str]] = field(default_factory=list)
    """With what the server says."""


class Heartbeat:
    """Renews every third of the shortest time to live, and at once when asked."""

    def __init__(
        self, url: str, ttl: float, loop_seen: Callable[[], float], renewables: Callable[[], list[Renewable]]
    ) -> None:
        """Prepare. `ttl`: the session's, in seconds; `loop_seen`: when the event loop ran last, by the local clock."""
        self._ttl = ttl
        self._loop_seen = loop_seen
        self._renewables = renewables
        options: dict[str, Any] = connect_options(url) | {
            "socket_timeout": max(0.2, ttl / 4),
            "retry": Retry(NoBackoff(), 0),
        }
        self._pool = redis.ConnectionPool.from_url(url, **options)
        self._wire: ConnectionInterface | None = None
        self._run_id = ""
        self._asked = threading.Event()
        self._planning = threading.Lock()
        self._at = boottime() + ttl / 3
        self._stopped = False
        self._outage = Outage(log, "renewing fails: what is held runs out", "renewing works again")
        self._refused: dict[tuple[str, str], Outage] = {}
        """What the server refuses to renew: the script, and the name."""
        self._thread = threading.Thread(target=self._run, name="weir-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def within(self, seconds: float) -> None:
        """Renew in so many seconds at the latest."""
        at = boottime() + seconds
        with self._planning:
            if at < self._at:
                self._at = at
                self._asked.set()

    def stop(self) -> None:
        """End the thread, if it runs; waits for the command that is on its way."""
        self._stopped = True
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            if self._asked.wait(max(0.0, self._at - boottime())):
                self._asked.clear()
                continue  # sooner than planned, or for ever
            try:
                if self._beat(self._plan()):
                    self._outage.is_over()
            except Exception as error:  # noqa: BLE001  # a thread that ends lets every session and lease run out
                self._disconnect()
                self.within(min(1.0, self._ttl / 20))
                self._outage.goes_on(f"{type(error).__name__}: {error}")
        self._disconnect()

    def _plan(self) -> list[Renewable]:
        """What to renew now; plans the next beat."""
        with self._planning:  # what is held from here on asks for an earlier time by itself
            self._at = boottime() + self._ttl / 3
            renewables = self._renewables()
            self._at = boottime() + min([self._ttl, *(each.shortest_ttl for each in renewables)]) / 3
        return renewables

    def _beat(self, renewables: list[Renewable]) -> bool:
        """Renew what is due; whether anything was."""
        loop_idle = boottime() - self._loop_seen()
        beat = _Beat()
        due = [renewable for renewable in renewables if renewable.shortest_ttl < math.inf]
        try:
            for first in range(0, len(due), _AT_ONCE):
                if self._stopped:
                    return False
                if self._wire is None:
                    self._connect(renewables)
                self._renew(due[first : first + _AT_ONCE], loop_idle, beat)
        finally:
            self._report(beat)
        if beat.failures:
            raise beat.failures[0]
        return bool(due)

    def _renew(self, renewables: list[Renewable], loop_idle: float, beat: _Beat) -> None:
        """Renew in one round trip. What fails is raised and reported by the caller: what others hold comes first."""
        asked: list[tuple[Renewable, Call]] = []
        for renewable in renewables:
            try:
                if (call := renewable.renewal(self._run_id, loop_idle)) is not None:
                    asked.append((renewable, call))
            except Exception as error:  # noqa: BLE001  # see above
                beat.failures.append(error)
        sent_at = boottime()
        for (renewable, call), answer in zip(asked, self._run_scripts([call for _, call in asked]), strict=True):
            if isinstance(answer, ResponseError):  # one spoilt name must not end what is held under the others
                beat.refused.append((call, str(answer)))
                continue
            beat.renewed.append(call)
            try:
                renewable.renewed(call, sent_at, answer)
            except Exception as error:  # noqa: BLE001  # see above
                beat.failures.append(error)

    def _report(self, beat: _Beat) -> None:
        for call in beat.renewed if self._refused else ():
            outage = self._refused.pop((call.script.name, _name(call)), None)
            if outage is not None:
                outage.is_over()
        for call, problem in beat.refused:
            about = script, name = call.script.name, _name(call)
            if about not in self._refused:
                self._refused[about] = Outage(
                    log, "a session or a lease could not be renewed", "it is renewed again", script=script, name=name
                )
            self._refused[about].goes_on(problem)

    def _connect(self, renewables: list[Renewable]) -> None:
        wire = self._pool.make_connection()
        wire.connect()  # type: ignore[no-untyped-call]
        self._wire = wire
        # A server that was started again must know it before it judges any deadline.
        info = self._command("INFO", "server")
        text = info.decode() if isinstance(info, bytes) else str(info)
        self._run_id = next((line[7:].strip() for line in text.splitlines() if line.startswith("run_id:")), "")
        greetings = [call for each in renewables if (call := each.greeting(self._run_id)) is not None]
        for first in range(0, len(greetings), _AT_ONCE):
            portion = greetings[first : first + _AT_ONCE]
            for greeting, answer in zip(portion, self._run_scripts(portion), strict=True):
                # Where it is refused the renewal is refused too, and says why.
                if greeting.at_reply is not None and not isinstance(answer, ResponseError):
                    greeting.at_reply(answer)

    def _disconnect(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            with contextlib.suppress(Exception):  # it is dropped in any case
                wire.disconnect()  # type: ignore[no-untyped-call]

    def _run_scripts(self, calls: list[Call]) -> list[Any]:
        """Run scripts in one round trip; an answer may be a ResponseError."""
        packed = [call.script.pack(call.keys, call.arguments) for call in calls]
        for call, words in zip(calls, packed, strict=True):
            self._send("EVALSHA", call.script.sha, *words)
        answers = [self._answer() for _ in calls]
        for at, (call, words) in enumerate(zip(calls, packed, strict=True)):
            if isinstance(answers[at], NoScriptError):
                self._send("EVAL", call.script.source, *words)
                answers[at] = self._answer()
        return answers

    def _command(self, *command: bytes | str | int) -> Any:
        self._send(*command)
        answer = self._answer()
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    def _send(self, *command: bytes | str | int) -> None:
        if self._wire is None:
            raise ConnectionError("no connection")
        self._wire.send_command(*command, check_health=False)  # type: ignore[no-untyped-call]

    def _answer(self) -> Any:
        if self._wire is None:
            raise ConnectionError("no connection")
        try:
            return self._wire.read_response()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            return error


def _name(call: Call) -> str:
    """What a call is about: the name that all its keys begin with."""
    key = min(call.keys.values(), key=len, default=b"").decode(errors="replace")
    return key.partition(":")[0].replace("{", "").replace("}", "")
