"""Barrier: tasks of any processes wait for each other, and go on together."""

import asyncio
from types import TracebackType
from typing import Final

from shared.concurrency.checks import check_count
from shared.concurrency.errors import BrokenBarrierError, ConcurrencyError
from shared.concurrency.locks.leases.keys import barrier_keys
from shared.concurrency.locks.place import Place
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.insurance import next_look
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.scripts import load
from shared.concurrency.session.session import Session, check_times, process_of

log = Log("locks")

_MOST: Final = 5000


class Barrier:
    """A place where `parties` tasks of any processes wait for each other; as asyncio.Barrier.

    What differs: `n_waiting`, `broken`, `reset` and `abort` are coroutines. A waiter whose process died does not count,
    nor does one whose event loop was blocked for longer than `ttl`: it comes again. Who passes has passed: a `reset` or
    an `abort` that comes a moment later does not break it any more, and nobody has to wait until all who passed have
    gone on before the next ones may come. While anybody waits, all have to name the same number of parties.
    """

    def __init__(self, session: Session, name: str, parties: int, *, ttl: float | None = None) -> None:
        """Prepare; `ttl`: seconds for which a waiter that does not ask again counts, by default the session's.

        :raises ValueError: when an argument is out of range.
        """
        self._process = process_of(session)
        self._name = StoredName.of(name)
        self._keys = barrier_keys(self._name)
        self._parties = check_count("parties", parties, 1, _MOST)
        self._ttl, _ = check_times(session, ttl, None)
        self._process.check_open()

    @property
    def parties(self) -> int:
        """How many have to wait until all of them pass."""
        return self._parties

    async def wait(self) -> int:
        """Wait until so many wait, in all processes; a number from 0 to `parties` - 1, another one for each of them.

        Numbers are given in order of arrival. Cancelled, it leaves no trace. An outage is waited out.

        :raises BrokenBarrierError: when it is broken, or reset meanwhile.
        :raises ValueError: when others wait for another number of parties.
        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        self._process.check_open()
        place, background = Place(self._process, self._keys, self._ttl), self._process.background
        with background.underway:
            try:
                return await self._pass(place)
            finally:
                _ = background.start(self._leave(place), name="weir-barrier")

    async def _leave(self, place: Place) -> None:
        """Have the server forget a wait; an outage is waited out. Repeated, it does no harm."""
        try:
            await place.leave("barrier_leave")
        except ConcurrencyError as error:
            log.warning("what a wait left at the server stays until it expires", problem=str(error))

    async def reset(self) -> None:
        """Make it as new: whoever waits gets BrokenBarrierError, and it is broken no more.

        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        await self._end(broken=False)

    async def abort(self) -> None:
        """Break it: whoever waits, and whoever comes before the next `reset`, gets BrokenBarrierError.

        :raises ConcurrencyError: as `reset`.
        """
        await self._end(broken=True)

    async def n_waiting(self) -> int:
        """How many wait at the moment. One round trip."""
        count, _ = await self._look()
        return count

    async def broken(self) -> bool:
        """Whether it is broken. One round trip."""
        _, broken = await self._look()
        return bool(broken)

    async def __aenter__(self) -> int:
        return await self.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    async def _end(self, *, broken: bool) -> None:
        # Before it is sent: a repetition carries the same id.
        call = Call(load("barrier_end"), self._keys, (self._process.new_id(self._ttl), int(broken)))
        await self._process.call(call)

    async def _look(self) -> tuple[int, int]:
        count, broken = await self._process.call(Call(load("barrier_look"), self._keys))
        return count, broken

    async def _pass(self, place: Place) -> int:
        # Before the question is sent: the notification can overtake its answer.
        began = boottime()
        with self._process.listening(b"barrier", self._name) as notified:
            while True:
                notified.clear()
                word, *more = await place.ask("barrier_wait", self._parties, self._name.unlike)
                if word == b"passed":
                    return int(more[0])
                if word == b"broken":
                    raise BrokenBarrierError(f"the barrier {self._name.shown} is broken, or was reset meanwhile")
                if word == b"other":
                    raise ValueError(
                        f"others wait at the barrier {self._name.shown} until there are {more[0]}, and here are "
                        f"{self._parties} parties: use one number under a name, or wait until nobody waits there"
                    )
                try:
                    async with asyncio.timeout(min(next_look(boottime() - began), self._ttl / 3)):
                        await notified.wait()
                except TimeoutError:
                    pass
