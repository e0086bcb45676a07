"""Replies: what is awaited on one connection, in the order in which it was asked."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.server_errors import Disconnected, Unasked

Send = Callable[..., asyncio.Future[Any]]
"""Sends one command on the present connection."""


class Awaited(NamedTuple):
    """One reply that is awaited."""

    reply: asyncio.Future[Any]
    sent_at: float
    at_reply: Callable[[Any], object] | None

    def deliver(self, answer: Any) -> None:
        """Hand it the answer.

        :raises Unasked: when the call cannot read it: it and all behind it may be for other calls.
        """
        unreadable = None
        if self.at_reply is not None and not isinstance(answer, Exception):
            try:
                self.at_reply(answer)
            except ConcurrencyError as error:  # the caller gets it; the reader goes on
                answer = error
            except Exception as error:  # noqa: BLE001  # as well, on another connection
                answer = unreadable = error
        if not self.reply.done():
            self.reply.set_result(answer)
        if unreadable is not None:
            raise Unasked(f"an answer could not be read: {unreadable!r:.200}")


class Replies:
    """Each answer goes to the call that has waited longest, when it is read."""

    replicas = 0
    """How many replicas must have what is promised."""

    def __init__(self) -> None:
        """Begin with none."""
        self._awaited: deque[Awaited] = deque()

    def __bool__(self) -> bool:
        """Whether any is awaited."""
        return bool(self._awaited)

    def expect(self, reply: asyncio.Future[Any], at_reply: Callable[[Any], object] | None) -> None:
        """Await one more, of a command that is sent now."""
        self._awaited.append(Awaited(reply, boottime(), at_reply))

    def promise(self, send: Send) -> None:
        """The command that was sent last promises something; what must be sent behind it is sent."""

    def answered(self, answer: Any) -> None:
        """Take the next answer of the server."""
        self._next(answer).deliver(answer)

    def in_order(self, receive: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """How notifications are received, so that none overtakes an answer that came before it."""
        return receive

    @property
    def oldest(self) -> float | None:
        """When the one that has waited longest was sent; None where none is awaited."""
        return self._awaited[0].sent_at if self._awaited else None

    def drop(self, problem: str) -> None:
        """Fail all: the connection was dropped."""
        while self._awaited:
            fail(self._awaited.popleft(), problem)

    def _next(self, answer: Any) -> Awaited:
        if not self._awaited:
            raise Unasked(f"the server answered what nobody had asked: {answer!r:.200}")
        return self._awaited.popleft()


def fail(awaited: Awaited, problem: str) -> None:
    """Nobody knows whether the command was carried out."""
    if not awaited.reply.done():
        awaited.reply.set_result(Disconnected(problem))
