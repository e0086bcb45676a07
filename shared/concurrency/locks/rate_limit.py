"""RateLimit: so many in a time, in all processes together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Final

from shared.concurrency.checks import check_seconds
from shared.concurrency.errors import ConcurrencyError, LeaseBusy
from shared.concurrency.locks.leases.keys import rate_keys
from shared.concurrency.locks.place import Place
from shared.concurrency.rate import Rate, interval_of
from shared.concurrency.session import insurance
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.parts import Listener
from shared.concurrency.session.process import Process
from shared.concurrency.session.session import Session, check_times, process_of

log = Log("locks")

_LONGEST_WAIT: Final = 86400.0 * 365


class RateLimit:
    """At most so many in a time, in all processes together: `async with RateLimit(session, "partner-api", Rate(5)):`.

    First come, first served, by the server's clock. Nobody polls: whoever has to wait is told its time. Nothing is held
    inside the body, and nothing given back behind it. Who waits leaves no trace when it is cancelled; who was let go
    has had its turn, whatever it makes of it. A process that died holds up others for `ttl` at most. An answer that was
    lost on its way costs the turn it spoke of: the rate is never exceeded for it. All should name the same rate; each
    goes by its own. A server that has forgotten all (it came back empty) begins with a full burst.
    """

    def __init__(self, session: Session, name: str, rate: Rate, *, ttl: float | None = None) -> None:
        """Prepare; `ttl`: seconds for which a waiter that is silent keeps its place, by default the session's.

        :raises ValueError: when the name or the time is out of range.
        :raises TypeError: when it is no Rate.
        """
        if not isinstance(rate, Rate):
            raise TypeError(f"a rate is a Rate, as Rate(5, per=1.0), and not {rate!r}")
        self._process: Final = process_of(session)
        self._name: Final = StoredName.of(name)
        self._keys: Final = rate_keys(self._name)
        self._ttl, _ = check_times(session, ttl, None)
        self._rate: Final = rate
        self._process.check_open()

    @property
    def rate(self) -> Rate:
        """How often."""
        return self._rate

    async def acquire(self) -> None:
        """Wait for its turn. Cancelled: it leaves no trace. An outage is waited out.

        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        turn = Turn(self._process, self._name, self._keys, self._rate, self._ttl)
        await turn.come()

    async def acquire_nowait(self) -> None:
        """Go at once. One round trip; it overtakes nobody who waits. An outage is waited out.

        :raises LeaseBusy: when `acquire` would wait.
        :raises ConcurrencyError: as `acquire`.
        """
        turn = Turn(self._process, self._name, self._keys, self._rate, self._ttl)
        if not await turn.is_now():
            raise LeaseBusy(f"{self._name.shown} is at its rate: `acquire` would wait")

    def within(self, seconds: float) -> AbstractAsyncContextManager[None]:
        """The same `async with`, whose wait ends after so many seconds, an outage included; 0: at once.

        :raises LeaseBusy: when entered, when its turn did not come within that time.
        :raises ValueError: when it is no time from 0 to a year.
        """
        return self._within(check_seconds("within", seconds, 0, _LONGEST_WAIT))

    @asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[None]:
        if seconds == 0:
            await self.acquire_nowait()
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self.acquire()
            except TimeoutError as error:
                raise LeaseBusy(f"no turn within {seconds:g} s: {self._name.shown} is at its rate") from error
        yield

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class Turn:
    """One who wants to go."""

    def __init__(self, process: Process, name: StoredName, keys: dict[str, bytes], rate: Rate, ttl: float) -> None:
        """Prepare; nothing is asked yet."""
        process.check_open()
        self._process: Final = process
        self._name: Final = name
        self._rate: Final = rate
        self._ttl: Final = ttl
        self._place: Final = Place(process, keys, ttl)

    async def is_now(self) -> bool:
        """Whether it may go now; it does then."""
        word, *_ = await self._ask(0)
        return bool(word == b"granted")

    async def come(self) -> None:
        """Wait until it may go."""
        background = self._process.background
        is_over = False
        with background.underway:
            try:
                # Before the question is sent: the notification can overtake its answer.
                with self._process.listening(b"rate", self._name, self._place.id) as notified:
                    while not await self._may_go(notified):
                        pass
                is_over = True
            finally:
                if not is_over:
                    _ = background.start(self._leave(), name="weir-rate")

    async def _may_go(self, notified: Listener) -> bool:
        """Ask once; where it may not go, wait until it is to ask again."""
        notified.clear()
        word, *more = await self._ask(1)
        if word == b"granted":
            return True
        # Its place is kept for its time to live; and a notification may be lost.
        longest = min(self._ttl / 3, insurance.AT_REST)
        seconds = min(int(more[0]) / 1e6, longest) if word == b"waits" else longest
        try:
            async with asyncio.timeout(seconds):
                await notified.wait()
        except TimeoutError:
            pass
        return False

    async def _ask(self, waits: int) -> list[bytes]:
        answer: list[bytes] = await self._place.ask(
            "rate_acquire", interval_of(self._rate), self._rate.burst, waits, self._name.unlike
        )
        return answer

    async def _leave(self) -> None:
        """Have the server forget it; an outage is waited out. Repeated, it does no harm."""
        try:
            await self._place.leave("rate_leave")
        except ConcurrencyError as error:
            log.warning("what a wait left at the server stays until it expires", problem=str(error))
