"""The heartbeat: a thread with a connection of its own that renews what the event loop holds.

A busy loop does not lose its sessions and leases, for the thread renews without it. A hung loop does not hold for ever:
once it has not run for max(three times to live, 10 s) the thread renews no more. (While C code keeps the GIL, the thread does
not run either.)
"""

import contextlib
import math
import threading
from collections.abc import Callable
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.log import Log

log = Log("session")


class Renewable(Protocol):
    """What a heartbeat renews; it is asked and told in the heartbeat's thread."""

    @property
    def shortest_ttl(self) -> float:
        """The shortest time to live, in seconds, of what is to be renewed; infinite when there is nothing."""

    def greeting(self, run_id: str) -> Call | None:
        """What tells the server, on a new connection, which run of it this is; before anything is renewed."""

    def renewal(self, run_id: str, loop_idle: float) -> Call | None:
        """What renews all there is; None when there is nothing. `loop_idle`: for how many seconds the loop has not run."""

    def renewed(self, call: Call, sent_at: float, answer: list[Any]) -> None:
        """Take note of the answer to a renewal that was sent at that time of the local clock."""


class Heartbeat:
    """Renews every third of the shortest time to live, and at once when asked."""

    def __init__(
        self, url: str, ttl: float, loop_seen: Callable[[], float], renewables: Callable[[], list[Renewable]]
    ) -> None:
        """Prepare. `ttl`: the session's; `loop_seen` tells when the event loop ran last; `renewables` what there is to renew."""
        self._ttl = ttl
        self._loop_seen = loop_seen
        self._renewables = renewables
        options: dict[str, Any] = {"socket_timeout": max(0.2, ttl / 4), "retry": Retry(NoBackoff(), 0)}
        self._pool = redis.ConnectionPool.from_url(url, **options)
        self._wire: ConnectionInterface | None = None
        self._run_id = ""
        self._asked = threading.Event()
        self._planning = threading.Lock()
        self._at = boottime() + ttl / 3
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="weir-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def ask(self) -> None:
        """Renew at once."""
        self.within(0.0)

    def within(self, seconds: float) -> None:
        """Renew in so many seconds at the latest."""
        at = boottime() + seconds
        with self._planning:
            if at < self._at:
                self._at = at
                self._asked.set()

    def stop(self) -> None:
        """End the thread; waits for it, a quarter of a time to live at most."""
        self._stopped = True
        self._asked.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            if self._asked.wait(max(0.0, self._at - boottime())):
                self._asked.clear()
                continue  # sooner than planned, or for ever
            with self._planning:  # what is held from here on asks for an earlier time by itself
                renewables = self._renewables()
                self._at = boottime() + min([self._ttl, *(each.shortest_ttl for each in renewables)]) / 3
            try:
                self._beat(renewables)
            except (RedisError, OSError) as error:
                self._disconnect()
                log.debug("renewal failed, will try again", problem=str(error))
                self.within(min(1.0, self._ttl / 20))
        self._disconnect()

    def _beat(self, renewables: list[Renewable]) -> None:
        loop_idle = boottime() - self._loop_seen()
        for renewable in renewables:
            if renewable.shortest_ttl == math.inf:
                continue
            if self._wire is None:
                self._connect(renewables)
            call = renewable.renewal(self._run_id, loop_idle)
            if call is None:
                continue
            sent_at = boottime()
            try:
                answer = self._run_script(call)
            except ResponseError as error:  # one spoilt name must not end what is held under the others
                log.warning("a lease could not be renewed", keys=sorted(call.keys), problem=str(error))
                continue
            renewable.renewed(call, sent_at, answer)

    def _connect(self, renewables: list[Renewable]) -> None:
        wire = self._pool.make_connection()
        wire.connect()  # type: ignore[no-untyped-call]
        self._wire = wire
        # A server that was started again must be told so before it judges any deadline.
        info = self._command("INFO", "server")
        text = info.decode() if isinstance(info, bytes) else str(info)
        self._run_id = next((line[7:].strip() for line in text.splitlines() if line.startswith("run_id:")), "")
        for renewable in renewables:
            greeting = renewable.greeting(self._run_id)
            if greeting is not None:
                with contextlib.suppress(ResponseError):  # the renewal tells
                    self._run_script(greeting)

    def _disconnect(self) -> None:
        if self._wire is not None:
            self._wire.disconnect()  # type: ignore[no-untyped-call]
            self._wire = None

    def _run_script(self, call: Call) -> Any:
        script = call.script
        packed = script.pack(call.keys, call.arguments)
        try:
            return self._command("EVALSHA", script.sha, *packed)
        except NoScriptError:
            return self._command("EVAL", script.source, *packed)

    def _command(self, *command: bytes | str | int) -> Any:
        wire = self._wire
        if wire is None:
            raise ConnectionError("no connection")
        wire.send_command(*command, check_health=False)  # type: ignore[no-untyped-call]
        return wire.read_response()  # type: ignore[no-untyped-call]
