"""The heartbeat: a thread with a connection of its own that renews what the event loop holds.

A busy loop does not lose its sessions, for the thread renews without it. A hung loop does not hold for ever: once it
has not run for `hang_after` seconds the thread renews no more. (While C code keeps the GIL, the thread does not run
either.)
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Protocol

import redis
import structlog
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from shared.concurrency.clock import boottime
from shared.concurrency.scripts import Script, load

log = structlog.get_logger(__name__)


class Renewable(Protocol):
    """What a heartbeat renews: a session in one queue."""

    @property
    def session_id(self) -> str:
        """The id to renew."""

    @property
    def script_keys(self) -> dict[str, bytes]:
        """The queue's keys."""

    def renewed(self, session_id: str, sent_at: float, remaining: float) -> None:
        """Take note, in the heartbeat's thread: SENT_AT by the local clock, REMAINING seconds by the server's."""

    def refused(self, session_id: str) -> None:
        """Take note, in the heartbeat's thread: the session is over."""


class Heartbeat:
    """Renews every third of a time to live, and at once when asked."""

    def __init__(
        self, url: str, ttl: float, loop_seen: Callable[[], float], renewables: Callable[[], list[Renewable]]
    ) -> None:
        """Prepare. `loop_seen` tells when the event loop ran last; `renewables` what there is to renew."""
        self._ttl = ttl
        self._hang_after = max(3 * ttl, 10.0)
        self._loop_seen = loop_seen
        self._renewables = renewables
        options: dict[str, Any] = {"socket_timeout": max(0.2, ttl / 4), "retry": Retry(NoBackoff(), 0)}
        self._pool = redis.ConnectionPool.from_url(url, **options)
        self._wire: ConnectionInterface | None = None
        self._asked = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="weir-heartbeat", daemon=True)
        self._renew, self._announce = load("renew"), load("announce")

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def ask(self) -> None:
        """Renew at once."""
        self._asked.set()

    def stop(self) -> None:
        """End the thread; waits for it, a quarter of a time to live at most."""
        self._stopped = True
        self._asked.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._ttl / 3
        while True:
            self._asked.wait(pause)
            self._asked.clear()
            if self._stopped:
                break
            if boottime() - self._loop_seen() > self._hang_after:
                log.error("the event loop hangs: sessions are no longer renewed", seconds=self._hang_after)
                pause = self._ttl / 3
                continue
            try:
                self._beat()
                pause = self._ttl / 3
            except (RedisError, OSError) as error:
                self._disconnect()
                log.debug("renewal failed, will try again", problem=str(error))
                pause = min(1.0, self._ttl / 20)
        self._disconnect()

    def _beat(self) -> None:
        renewables = self._renewables()
        if not renewables:
            return
        if self._wire is None:
            self._connect(renewables)
        for renewable in renewables:
            session_id = renewable.session_id
            sent_at = boottime()
            try:
                live, now, deadline = self._call(self._renew, renewable.script_keys, session_id)
            except ResponseError as error:  # one spoilt queue must not end the sessions in the others
                log.warning("a session could not be renewed", session=session_id, problem=str(error))
                continue
            if live:
                renewable.renewed(session_id, sent_at, (deadline - now) / 1000)
            else:
                renewable.refused(session_id)

    def _connect(self, renewables: list[Renewable]) -> None:
        wire = self._pool.make_connection()
        wire.connect()  # type: ignore[no-untyped-call]
        self._wire = wire
        # A server that was started again must be told so before it judges any deadline.
        info = self._command("INFO", "server")
        text = info.decode() if isinstance(info, bytes) else str(info)
        run_id = next((line[7:].strip() for line in text.splitlines() if line.startswith("run_id:")), "")
        for renewable in renewables:
            with contextlib.suppress(ResponseError):  # the renewal tells
                self._call(self._announce, renewable.script_keys, run_id)

    def _disconnect(self) -> None:
        if self._wire is not None:
            self._wire.disconnect()  # type: ignore[no-untyped-call]
            self._wire = None

    def _call(self, script: Script, keys: dict[str, bytes], *arguments: str) -> Any:
        packed = script.pack(keys, arguments)
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
