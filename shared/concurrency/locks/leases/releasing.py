"""Releasing: how the holds of one name end at the server, in the background where nobody can wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.session.calls import Call, Calls
from shared.concurrency.session.futures import retrieve
from shared.concurrency.session.log import Log
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Disconnected, Postponed

log = Log("locks")

_PAUSE: Final = 0.05

T = TypeVar("T")


class Releasing:
    """Ends holds, and requests for holds, of one session under one name. Ending twice does no harm."""

    def __init__(self, calls: Calls, name: str, keys: dict[str, bytes], held: dict[str, Hold]) -> None:
        """Prepare; `held`: what is renewed, from which a hold goes at its end."""
        self._calls: Final = calls
        self._name = name
        self._keys = keys
        self._held = held
        self._script = load("release")
        self._background: set[asyncio.Task[Any]] = set()

    async def release(self, hold: Hold) -> bool:
        """End a hold; False when it had been lost. An outage is waited out until its deadline, when the server ends it.

        :raises ConcurrencyError: when the server refuses the script.
        """
        self._held.pop(hold.id, None)
        left = hold.left
        hold.end()
        try:
            outcome = await self._calls.now(Call(self._script, self._keys, (hold.id, 0), says_run=True))
        except (Disconnected, Postponed):
            await asyncio.wait(self._in_background(hold), timeout=max(0.0, left))
            return True
        except asyncio.CancelledError:
            self._in_background(hold)
            raise
        return bool(outcome != b"unknown")

    def release_soon(self, hold: Hold) -> None:
        """End a hold, granted or still asked for, in the background."""
        self._held.pop(hold.id, None)
        hold.end()
        self._in_background(hold)

    def in_background(self, what: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Have something go on though its caller may be cancelled; the session waits for it when it is closed."""
        task = asyncio.create_task(what, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(retrieve)
        return task

    async def close(self, patience: float) -> None:
        """Wait for what goes on in the background; gives up after `patience` seconds."""
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _in_background(self, hold: Hold) -> set[asyncio.Task[None]]:
        return {self.in_background(self._release_later(hold), "weir-release")}

    async def _release_later(self, hold: Hold) -> None:
        while True:
            try:
                await self._calls.opened()
                # Our request may still be on its way on a connection that was dropped: it must find nothing to do.
                await self._calls.now(Call(self._script, self._keys, (hold.id, 1), says_run=True))
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
                return
