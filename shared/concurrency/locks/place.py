"""Place: one who waits at the server under an id of its own, asks again and again, and leaves."""

import asyncio
from typing import Any, Final

from shared.concurrency.session.calls import Call
from shared.concurrency.session.names import tag_of
from shared.concurrency.session.process import Process
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Disconnected, Postponed

_PAUSE: Final = 0.05


class Place:
    """Knows whether one of its questions may still be on its way when it leaves: the server refuses that one then."""

    def __init__(self, process: Process, keys: dict[str, bytes], ttl: float) -> None:
        """Begin with no question. `ttl`: seconds for which the server waits for the next one."""
        self.id: Final = process.new_id(ttl)
        self._process: Final = process
        self._calls: Final = process.calls_of(tag_of(keys))
        self._keys = keys
        self._asked_on: object = None
        """The connection of a question that has no answer, as in Hold."""

    async def ask(self, script: str, *arguments: str | int) -> Any:
        """Run a script about this id, which may be repeated; waits out an outage.

        :raises ConcurrencyError: when the session is closed, or the server refuses the script.
        """
        call = Call(load(script), self._keys, (self.id, *arguments))
        dropped = self._asked_on
        while True:
            self._process.check_open()
            await self._calls.opened()
            self._asked_on = self._calls.connection if dropped is None else dropped
            try:
                answer = await self._calls.now(call)
            except Disconnected:
                dropped = self._asked_on
            except Postponed:
                await asyncio.sleep(_PAUSE)
            else:
                self._asked_on = dropped
                return answer

    async def leave(self, script: str, *arguments: str | int) -> tuple[Any, bool]:
        """Have the server forget it, also while the session is being closed; an outage is waited out.

        The answer, and whether one before it was lost.

        :raises ConcurrencyError: when the server refuses the script.
        """
        was_lost = False
        while True:
            await self._calls.opened()
            in_doubt = self._asked_on is not None and self._asked_on is not self._calls.connection
            call = Call(load(script), self._keys, (self.id, int(in_doubt), *arguments))
            try:
                return await self._calls.now(call), was_lost
            except Disconnected:
                was_lost = True
            except Postponed:
                await asyncio.sleep(_PAUSE)
