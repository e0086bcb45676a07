"""Lane: stop-and-wait with sequence numbers.

One call is in flight, numbered; what comes meanwhile travels together in the next one. Kafka's idempotent producer does
the same with one request in flight (max.in.flight.requests.per.connection=1): a repeated number is answered with the
stored verdicts, so a lost reply and a retry have one effect.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.futures import resolve

C = TypeVar("C")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class Lane(ABC, Generic[C]):
    """The calls of one kind of one process at one queue; a room says what they carry by five hooks.

    A lane works while there is something to do: its task starts with the first `kick`. A defect that ends the task
    fails whoever waits, and the next kick starts it again.
    """

    def __init__(self, member: Membership, name: str) -> None:
        """Prepare; `name` is that of its task."""
        self._member: Final = member
        self._loop: Final = asyncio.get_running_loop()
        self._closed = False
        self._name = name
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        self._call: C | None = None
        """What is in flight. A room sets it None as it takes the answer: nobody waits for it any more."""
        self._calling = False
        self._resting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: list[asyncio.Future[None]] = []
        self._memory_pause = 0.0
        self._paused_until = 0.0

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
        """See whether a call is due, and have it sent when the loop turns; whether one is."""
        if self._task is None or self._task.done():
            if self._closed:
                return False
            self._task = self._loop.create_task(self._run(), name=self._name)
            self._task.add_done_callback(self._ended)
            return True
        resting = self._resting
        if resting is None or resting.done():
            return False
        seconds = self.due()
        if seconds == 0:
            resting.set_result(None)
            return True
        self._set_timer(seconds)
        return False

    def number(self) -> int:
        """The number of a new call. A repetition keeps its own."""
        self._number += 1
        return self._number

    async def flush(self) -> None:
        """Wait until all that was given to the lane so far is answered."""
        while self._calling or self.is_unsent():
            answered = self._loop.create_future()
            self._flushing.append(answered)
            self.kick()
            await answered

    async def stop(self) -> None:
        """End the lane; what is not answered yet fails."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._fail(ConcurrencyError("the session was closed before the server answered"))

    def memory_is_full(self) -> float:
        """How many seconds to wait before the same is tried again: 0.05, doubled each time, 1 at most."""
        self._memory_pause = min(_LONGEST_PAUSE, self._memory_pause * 2 or _FIRST_PAUSE)
        return self._memory_pause

    def memory_has_room(self) -> None:
        """The server took a call: the next pause is a short one again."""
        self._memory_pause = 0.0

    def pause(self, seconds: float) -> None:
        """Begin a pause, which `due` is to respect."""
        self._paused_until = self._loop.time() + seconds

    def paused_for(self) -> float:
        """For how many seconds more the lane pauses, 0 when it does not."""
        if self._paused_until and (left := self._paused_until - self._loop.time()) > 0:
            return left
        self._paused_until = 0.0
        return 0.0

    # --- its task ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            while (seconds := self.due()) != 0:
                await self._rest(seconds)
            self._calling = True
            try:
                if not self._member.registration.is_done:
                    await self._member.registration.ready()
                self._call = call = self.compose()
                await self.send(call)
            except ConcurrencyError as error:
                self._fail(error)
            # Kept when the task is cancelled or dies of a defect: `stop` and `_ended` fail it.
            self._call = None
            self._calling = False
            self._tell_flushed()

    async def _rest(self, seconds: float | None) -> None:
        self._resting = self._loop.create_future()
        self._set_timer(seconds)
        try:
            await self._resting
        finally:
            self._resting = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _set_timer(self, seconds: float | None) -> None:
        """Look again in so many seconds. A timer that is set for an earlier time stays: that look sets the next one."""
        if seconds is None:
            return
        at = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self.kick()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        call, self._call, self._calling = self._call, None, False
        self.fail(call, error)
        self._tell_flushed()

    def _tell_flushed(self) -> None:
        flushing, self._flushing = self._flushing, []
        for answered in flushing:
            resolve(answered)
