"""Lane: stop-and-wait with sequence numbers.

One call is in flight, numbered; what comes meanwhile travels together in the next one. Kafka's idempotent producer does
the same with one request in flight (max.in.flight.requests.per.connection=1): a repeated number is answered with the
stored verdicts, so a lost reply and a retry have one effect.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Generic, TypeVar

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.membership.flight import Flight
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.membership.pause import Pause
from shared.concurrency.queues.membership.rest import Rest

C = TypeVar("C")


def goes_again(answer: list[Any]) -> bool:
    """Whether the server has done nothing, for the queue needs the other set of scripts: see `Level.run`.

    :raises ConcurrencyError: when it has done nothing because it saw a later number.
    """
    if answer[0] == b"late":
        raise ConcurrencyError("the server saw a later call of this process: is the owner id used twice?")
    return bool(answer[0] == b"flow")


class Lane(ABC, Generic[C]):
    """The calls of one kind of one process at one queue; a room says what they carry by five hooks.

    A lane works while there is something to do: its task starts with the first `kick`. A defect that ends the task
    fails whoever waits, and the next kick starts it again.
    """

    NAME: ClassVar[str]
    """That of its task."""

    def __init__(self, member: Membership) -> None:
        """Prepare; nothing is sent yet."""
        self._member: Final = member
        self._loop: Final = asyncio.get_running_loop()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._flight: Final = Flight[C]()
        self._rest: Final = Rest(self._loop, self.kick)
        self.pause: Final = Pause(self._loop)
        """To be begun by `send` and respected by `due`."""

    # --- hooks ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def due(self) -> float | None:
        """When the next call is due: 0 now, seconds until then, None until a kick.

        Asked while no call is in flight, at each kick too: it must be cheap.
        """

    @abstractmethod
    def is_unsent(self) -> bool:
        """Whether something waits for a call that `flush` waits for."""

    @abstractmethod
    def compose(self) -> C:
        """Take out what the next call carries. The session is registered by now."""

    @abstractmethod
    async def send(self, call: C) -> None:
        """Send it, and again until it is answered.

        :raises ConcurrencyError: when the server refuses it for good; `fail` is told then.
        """

    @abstractmethod
    def fail(self, call: C | None, error: Exception) -> None:
        """Fail whoever waits for this call, and for what cannot be sent either; None: none is in flight."""

    # --- given ------------------------------------------------------------------------------------------------------

    def kick(self) -> bool:
        """See whether a call is due, and have it sent when the loop turns; whether one is.

        Between an answer and the lane's next turn: whether another call follows.
        """
        flight = self._flight
        if flight.is_begun:
            return flight.is_answered and self.due() == 0
        resting = self._rest.ended
        if resting is None:
            return self._start()
        if resting.done():
            return False
        seconds = self.due()
        if seconds == 0:
            resting.set_result(None)
            return True
        self._rest.look_in(seconds)
        return False

    def number(self) -> int:
        """The number of a new call. A repetition keeps its own."""
        self._flight.number += 1
        return self._flight.number

    async def flush(self) -> None:
        """Wait until all that was given to the lane so far is answered."""
        while self._flight.is_begun or self.is_unsent():
            answered = self._loop.create_future()
            self._flight.flushing.append(answered)
            self.kick()
            await answered

    async def stop(self) -> None:
        """End the lane; what is not answered yet fails."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._fail(ConcurrencyError("the session was closed before the server answered"))

    # --- its task ---------------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Begin to work, unless the lane does or is closed; whether it began."""
        if self._closed or (self._task is not None and not self._task.done()):
            return False
        self._task = self._loop.create_task(self._run(), name=self.NAME)
        self._task.add_done_callback(self._ended)
        return True

    async def _run(self) -> None:
        flight = self._flight
        while True:
            while (seconds := self.due()) != 0:
                await self._rest.take(seconds)
            flight.is_begun = True
            try:
                if not self._member.registration.is_done:
                    await self._member.registration.ready()
                flight.call = call = self.compose()
                try:
                    await self.send(call)
                except ConcurrencyError:
                    raise
                except Exception:
                    flight.call = call  # an answer that nobody could read: whoever waits for it fails
                    raise
            except ConcurrencyError as error:
                self._fail(error)
            # Kept when the task is cancelled or dies of a defect: `stop` and `_ended` fail it.
            flight.call = None
            flight.is_begun = flight.is_answered = False
            if flight.flushing:
                flight.resolve_flushing()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._rest.stop()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.fail(self._flight.ended(), error)
        self._flight.resolve_flushing()
