"""Event: a flag that any process can set, and that others wait for."""

import asyncio
from typing import Final

from shared.concurrency.locks.leases.keys import event_keys
from shared.concurrency.session.calls import Call
from shared.concurrency.session.names import check_name
from shared.concurrency.session.scripts import load
from shared.concurrency.session.session import Session, process_of

_LOOK_AGAIN: Final = 1.0


class Event:
    """A flag in all processes; as asyncio.Event.

    What differs: all four are coroutines; the flag stays on the server until somebody clears it, whichever process ends
    meanwhile. A wait returns when the flag was set, even if it is cleared again before the waiter runs. A `set` or
    `clear` whose connection broke is repeated, so it can take effect after a later one of another process.
    """

    def __init__(self, session: Session, name: str) -> None:
        """Prepare.

        :raises ValueError: when it is no name.
        """
        self._process = process_of(session)
        self._name = check_name(name)
        self._keys = event_keys(name)
        self._process.check_open()

    def __bool__(self) -> bool:
        raise TypeError("an Event is no flag to be tested: use `await event.is_set()`")

    async def is_set(self) -> bool:
        """Whether it is set. One round trip.

        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        found, _ = await self._look("", watch=False)
        return found

    async def set(self) -> None:
        """Set it, and wake all who wait, in all processes. Waits for the server's answer; an outage is waited out.

        :raises ConcurrencyError: when the session is closed, or the server refuses.
        """
        await self._process.call(Call(load("event_set"), self._keys, (1,)))

    async def clear(self) -> None:
        """Clear it: whoever waits from now on waits until it is set again. Waits for the server's answer.

        :raises ConcurrencyError: as `set`.
        """
        await self._process.call(Call(load("event_set"), self._keys, (0,)))

    async def wait(self) -> bool:
        """Wait until it is set; True. Returns at once when it is set already. Cancelled: nothing is left behind.

        :raises ConcurrencyError: as `set`.
        """
        first = ""
        while True:
            with self._process.listening(b"event", self._name) as notified:
                found, generation = await self._look(first, watch=True)
                if found:
                    return True
                first = first or generation
                try:
                    async with asyncio.timeout(_LOOK_AGAIN):
                        await notified.wait()
                except TimeoutError:
                    pass

    async def _look(self, seen: str, *, watch: bool) -> tuple[bool, str]:
        found, generation = await self._process.call(
            Call(load("event_look"), self._keys, (self._process.owner, seen, int(watch)))
        )
        return bool(found), generation.decode()
