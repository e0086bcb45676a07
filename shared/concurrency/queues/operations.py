"""Operations: what one process does to a queue as a whole, one at a time, each with one effect."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.membership.lane import Lane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.calls import Call
from shared.concurrency.session.futures import reject
from shared.concurrency.session.server_errors import Disconnected, Postponed

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Operation:
    """One run of a script, and who waits for it."""

    script: str
    words: Sequence[bytes | str | int]
    answer: "asyncio.Future[list[Any]]"

    def is_unwanted(self) -> bool:
        """Whether its caller has gone."""
        return self.answer.done()


class OperationsLane(Lane[_Operation]):
    """Operations in the order in which they were asked for. A lost answer is asked for again under the same number.

    The server remembers the answer to the last number for a day at least.
    """

    NAME: ClassVar = "weir-operations"

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to do."""
        super().__init__(member)
        self._asked_for: dict[_Operation, None] = {}

    async def run(self, script: str, *words: bytes | str | int) -> list[Any]:
        """Run the script of an operation; returns its answer. Waits out an outage.

        Cancelled, it is not sent any more; one that is on its way may have its effect, and is not repeated.

        :raises ConcurrencyError: when the session was closed before the server answered, or the server refuses it.
        """
        operation = _Operation(script, words, self._loop.create_future())
        self._asked_for[operation] = None
        self.kick()
        try:
            return await operation.answer
        finally:
            self._asked_for.pop(operation, None)

    def due(self) -> float | None:
        """At once, while somebody waits."""
        return 0 if self._asked_for else None

    def is_unsent(self) -> bool:
        """Whether an operation waits."""
        return bool(self._asked_for)

    def compose(self) -> _Operation:
        """The operation that has waited longest; one that nobody waits for when all callers went meanwhile."""
        if not self._asked_for:
            gone = self._loop.create_future()
            gone.cancel()
            return _Operation("", (), gone)
        operation = next(iter(self._asked_for))
        del self._asked_for[operation]
        return operation

    async def send(self, call: _Operation) -> None:
        """Send it with a number, until it is answered or nobody waits for it any more."""
        calls, level = self._member.calls, self._member.level
        numbered: Call | None = None
        pause = _FIRST_PAUSE
        while not call.is_unwanted():
            try:
                await calls.opened()
                if call.is_unwanted():
                    return
                if numbered is None:
                    words = (self._member.session_id, self.number(), *call.words)
                    answered = partial(_take_answer, call)
                    numbered = Call(level.load(call.script), self._member.keys, words, at_reply=answered)
                if level.moved(numbered.script, await calls.now(numbered)):
                    numbered = numbered._replace(script=level.load(call.script))
            except Disconnected:
                pause = _FIRST_PAUSE
            except Postponed:
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            except ConcurrencyError as error:
                reject(call.answer, error)

    def fail(self, call: _Operation | None, error: Exception) -> None:
        """Fail all who wait."""
        for operation in (*([call] if call is not None else ()), *self._asked_for):
            reject(operation.answer, error)
        self._asked_for.clear()


def _take_answer(call: _Operation, answer: list[Any]) -> None:
    if not call.answer.done() and answer[:1] != [b"flow"]:
        call.answer.set_result(answer)
