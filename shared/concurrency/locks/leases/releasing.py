"""Releasing: how the holds of one name end at the server, in the background where nobody can wait."""

import asyncio
from collections.abc import Callable
from typing import Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.session.calling import Calling
from shared.concurrency.session.calls import Call
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import tag_of
from shared.concurrency.session.process import Process
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Disconnected, Postponed

log = Log("locks")

_PAUSE: Final = 0.05
_NOBODY: Final = "nobody"
"""No hold's id: to end nothing, and grant what is free."""


class Releasing:
    """Ends holds, and requests for holds, of one session under one name. Ending twice does no harm."""

    def __init__(
        self,
        process: Process,
        name: str,
        keys: dict[str, bytes],
        held: dict[str, Hold],
        *,
        on_none_left: Callable[[], object],
    ) -> None:
        """Prepare; `held`: what is renewed, from which a hold goes at its end; `on_none_left`: called with the last."""
        self._calls: Final[Calling] = process.calls_of(tag_of(keys))
        self._background = process.background
        self._name = name
        self._keys = keys
        self._held = held
        self._on_none_left = on_none_left
        self._script = load("release")

    async def release(self, hold: Hold) -> bool:
        """End a hold; False when it had been lost. An outage is waited out until its deadline, when the server ends it.

        :raises ConcurrencyError: when the server refuses the script.
        """
        self._drop(hold)
        left = hold.left
        hold.end()
        try:
            # The session's end waits for it: a script that the server does not know is sent twice.
            with self._background.underway:
                outcome, has_more = await self._end(hold.id, hold.asked_on)
        except (Disconnected, Postponed):
            await asyncio.wait(self._in_background(hold), timeout=max(0.0, left))
            return True
        except asyncio.CancelledError:
            self._in_background(hold)
            raise
        if has_more:
            self.let_in()
        return bool(outcome != b"unknown")

    def release_soon(self, hold: Hold) -> None:
        """End a hold, granted or still asked for, in the background."""
        self._drop(hold)
        hold.end()
        self._in_background(hold)

    def let_in(self) -> None:
        """Have the server grant what is more than one call grants; those who wait would look themselves, but later."""
        _ = self._background.start(self._end_later(_NOBODY, None), name="weir-let-in")

    def _drop(self, hold: Hold) -> None:
        if self._held.pop(hold.id, None) is not None and not self._held:
            self._on_none_left()

    def _in_background(self, hold: Hold) -> set[asyncio.Task[None]]:
        return {self._background.start(self._end_later(hold.id, hold.asked_on), name="weir-release")}

    async def _end(self, hold_id: str, asked_on: object) -> tuple[bytes, int]:
        """Send it at once. A request on a connection that was dropped may come behind: it is to be refused then."""
        in_doubt = asked_on is not None and asked_on is not self._calls.connection
        release = Call(self._script, self._keys, (hold_id, int(in_doubt)), says_run=True)
        outcome, has_more = await self._calls.now(release)
        return outcome, has_more

    async def _end_later(self, hold_id: str, asked_on: object) -> None:
        while True:
            try:
                await self._calls.opened()
                _, has_more = await self._end(hold_id, asked_on)
            except Disconnected:
                continue
            except Postponed:
                await asyncio.sleep(_PAUSE)
            except ConcurrencyError as error:
                log.warning(
                    "a lease could not be released; it ends with its time to live", lease=self._name, problem=str(error)
                )
                return
            else:
                if not has_more:
                    return
                hold_id, asked_on = _NOBODY, None
