"""Farewells: last words of waits whose callers do not wait for them, said in the background."""

import asyncio
from typing import Any, ClassVar

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.session.calls import Call
from shared.concurrency.session.heartbeat import Renewable
from shared.concurrency.session.log import Log
from shared.concurrency.session.process import Process

log = Log("locks")


class Farewells:
    """The calls of one session that nobody waits for, whatever they are about. One that is repeated does no harm."""

    WORDS: ClassVar[tuple[bytes, ...]] = ()

    CLOSES: ClassVar = 2
    """After the leases: waits that are ended by the closing say farewell."""

    def __init__(self, process: Process, _name: str) -> None:
        """Begin with none."""
        self._process = process
        self._under_way: set[asyncio.Task[None]] = set()

    def say(self, call: Call) -> None:
        """Run a script in the background; an outage is waited out."""
        task = self._process.loop.create_task(self._say(call), name="weir-farewell")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _say(self, call: Call) -> None:
        try:
            await self._process.calls.insist(call)
        except ConcurrencyError as error:
            log.warning("what a wait left at the server stays until it expires", problem=str(error))

    # --- what the session calls -------------------------------------------------------------------------------------

    async def close(self, patience: float) -> None:
        """Wait for what is under way; gives up after `patience` seconds."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    @property
    def renewable(self) -> Renewable:
        """Nothing."""
        return self

    def receive(self, word: bytes, rest: bytes) -> None:
        """Receive nothing: no notification is about it."""

    def resync(self) -> None:
        """Do nothing: a call is repeated by itself."""

    def tick(self) -> None:
        """Do nothing."""

    async def connected(self, run_id: str) -> None:
        """Do nothing."""

    # --- what the heartbeat calls, in its thread --------------------------------------------------------------------

    @property
    def shortest_ttl(self) -> float:
        """Infinite: there is nothing to renew."""
        return float("inf")

    def greeting(self, run_id: str) -> Call | None:  # noqa: ARG002
        """Return None: there is nothing to announce."""
        return None

    def renewal(self, run_id: str, loop_idle: float) -> Call | None:  # noqa: ARG002
        """Return None: there is nothing to renew."""
        return None

    def renewed(self, call: Call, sent_at: float, answer: list[Any]) -> None:
        """Do nothing."""
