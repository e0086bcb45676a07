"""Event: a flag that any process can set, and that others wait for."""

import asyncio
from collections.abc import Callable
from typing import Any

from shared.concurrency.locks.leases.keys import event_keys
from shared.concurrency.locks.once import Once
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.insurance import next_look
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.scripts import load
from shared.concurrency.session.session import Session, process_of


class Event:
    """A flag in all processes; as asyncio.Event.

    What differs: all are coroutines; the flag stays on the server, whichever process ends meanwhile: a set one until
    somebody clears or deletes it, a cleared one for a week. So delete an event whose name is used once. A wait returns
    when the flag was set, even if it is cleared again before the waiter runs. A `set`, `clear` or `delete` whose
    connection broke is sent again, and has one effect.
    """

    def __init__(self, session: Session, name: str) -> None:
        """Prepare.

        :raises ValueError: when it is no name.
        """
        self._process = process_of(session)
        self._name = StoredName.of(name)
        self._keys = event_keys(self._name)
        self._once = Once(self._process, self._keys)
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
        await self._once.call("event_set", 1, self._name.unlike)

    async def clear(self) -> None:
        """Clear it: whoever waits from now on waits until it is set again. Waits for the server's answer.

        :raises ConcurrencyError: as `set`.
        """
        await self._once.call("event_set", 0, self._name.unlike)

    async def delete(self) -> None:
        """Have the server forget it, as if it had never been set. Whoever waits goes on waiting for a `set`.

        :raises ConcurrencyError: as `set`.
        """
        await self._once.call("event_set", "", self._name.unlike)

    async def wait(self) -> bool:
        """Wait until it is set; True. Returns at once when it is set already. Cancelled: nothing is left behind.

        :raises ConcurrencyError: as `set`.
        """
        seen, began = "", boottime()
        with self._process.listening(b"event", self._name) as notified:
            while True:
                # Not set since: what the server says now counts, though it is less where it has forgotten the event.
                found, seen = await self._look(seen, watch=True, at_reply=notified.forget)
                if found:
                    return True
                try:
                    async with asyncio.timeout(next_look(boottime() - began)):
                        await notified.wait()
                except TimeoutError:
                    continue
                if notified.received:  # even if it was deleted since
                    return True

    async def _look(
        self, seen: str, *, watch: bool, at_reply: Callable[[Any], object] | None = None
    ) -> tuple[bool, str]:
        found, generation = await self._process.call(
            Call(load("event_look"), self._keys, (self._process.owner, seen, int(watch)), at_reply=at_reply)
        )
        return bool(found), generation.decode()
