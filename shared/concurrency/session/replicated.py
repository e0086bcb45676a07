"""ReplicatedReplies: a promise is answered for once so many replicas have it.

WAIT travels right behind the call, in the same write. It counts the replicas that have all that this connection has
written, and it blocks this connection alone. The answer to the call, and all that is read behind it, is held back until
WAIT has counted enough, so that everything is still received in the order in which the server sent it. When it counts
fewer, another WAIT follows. A connection that breaks meanwhile fails the call as if its answer were lost: the call is
repeated with its number.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from shared.concurrency.errors import ConcurrencyError, ServerRefused
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.log import Log
from shared.concurrency.session.outage import Outage
from shared.concurrency.session.replies import Awaited, Replies, Send, fail
from shared.concurrency.session.server_errors import Disconnected, Unasked

log = Log("session")

_WAIT_MS: Final = 100
"""For so long one WAIT keeps the connection, while too few replicas answer."""
_REPORTED_AFTER: Final = 1.0


class ReplicatedReplies(Replies):
    """Replies of a session that was opened with `replicas`."""

    def __init__(self, replicas: int) -> None:
        """Begin with none."""
        super().__init__()
        self.replicas = replicas
        self._promises: set[asyncio.Future[Any]] = set()
        self._counts: set[asyncio.Future[Any]] = set()
        """Those that are answers to WAIT."""
        self._held: list[tuple[Awaited | None, Callable[[Any], None], Any]] = []
        """What was read since a promise: who takes it, and what it is."""
        self._send: Send | None = None
        self._short_since: float | None = None
        self._outage = Outage(
            log, "too few replicas have what is put and settled: calls wait", "enough replicas have it again",
            wanted=replicas,
        )  # fmt: skip

    def promise(self, send: Send) -> None:
        """Have the replicas counted behind it."""
        self._send = send
        self._promises.add(self._awaited[-1].reply)
        self._count(send)

    def answered(self, answer: Any) -> None:
        """Take the next answer; a promise is held, and all behind it."""
        awaited = self._next(answer)
        if awaited.reply in self._counts:
            self._counts.discard(awaited.reply)
            self._counted(answer)
        elif self._held or awaited.reply in self._promises:
            self._held.append((awaited, awaited.deliver, answer))
        else:
            awaited.deliver(answer)

    def in_order(self, receive: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """Hold a notification behind a promise that is held."""

        def hold(notification: bytes) -> None:
            if self._held:
                self._held.append((None, receive, notification))
            else:
                receive(notification)

        return hold

    def drop(self, problem: str) -> None:
        """Fail what is held, too; notifications are lost."""
        held, self._held = self._held, []
        for awaited, _, _ in held:
            if awaited is not None:
                fail(awaited, problem)
        self._promises.clear()
        self._counts.clear()
        super().drop(problem)

    def _count(self, send: Send) -> None:
        self._counts.add(send(b"WAIT", self.replicas, _WAIT_MS))

    def _counted(self, answer: Any) -> None:
        if isinstance(answer, int) and answer >= self.replicas:
            self._short_since = None
            self._outage.is_over()
            self._release()
        elif isinstance(answer, Exception):
            self._release(_refusal(answer))
        else:
            self._fall_short(answer)

    def _release(self, refusal: Exception | None = None) -> None:
        held, self._held = self._held, []
        for at, (awaited, take, answer) in enumerate(held, 1):
            is_promise = awaited is not None and awaited.reply in self._promises
            if awaited is not None:
                self._promises.discard(awaited.reply)
            try:
                take(refusal if is_promise and refusal and not isinstance(answer, Exception) else answer)
            except Unasked:
                self._held = held[at:]  # the connection is dropped, and they fail with it
                raise

    def _fall_short(self, count: Any) -> None:
        now = boottime()
        self._short_since = self._short_since or now
        if now - self._short_since > _REPORTED_AFTER:
            self._outage.goes_on(f"{count} of {self.replicas}")
        if not self._counts and self._send is not None:  # else one that was sent later covers this, too
            with contextlib.suppress(ConcurrencyError):  # the connection breaks: all fail
                self._count(self._send)


def _refusal(error: Exception) -> Exception:
    """What a call gets whose replicas cannot be counted."""
    if "replica" in str(error):  # it was the primary
        return Disconnected(str(error))
    return ServerRefused(
        f"the server refuses WAIT, which `replicas` needs: {error}. Allow it: ACL SETUSER <user> +wait"
    )
