"""Guide: keeps the topology as it is, asking whenever a name may be served elsewhere."""

import asyncio
from typing import Final, Protocol

from shared.concurrency.errors import ConcurrencyError, ServerRefused
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.calls import NO_ANSWER, Calls
from shared.concurrency.session.cluster.survey import Found, survey
from shared.concurrency.session.cluster.topology import QUESTION, Topology, read_slots
from shared.concurrency.session.connection import LOST, described
from shared.concurrency.session.log import Log

log = Log("session")

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.25
_TIMEOUT: Final = 1.0
"""Seconds for the answer of one node: another one may know more by then."""


class Guided(Protocol):
    """Who is told where the names are."""

    def open_calls(self) -> list[tuple[Endpoint, Calls]]:
        """The nodes that can be asked on a link, and their calls."""

    def is_well(self) -> bool:
        """Whether each name is where it is served, as far as is known."""

    def may_change(self, slot: int, node: Endpoint) -> bool:
        """Whether another node than this one may serve the slot."""

    def settle(self, asked: Endpoint) -> None:
        """Have each name go where it is served; `asked`: the node that said so."""


class Guide:
    """A task that asks at the start, after each move, and again and again while a node is away."""

    def __init__(self, address: ClusterAddress, topology: Topology, guided: Guided) -> None:
        """Prepare."""
        self.problem = NO_ANSWER
        """Why the last question failed."""
        self._address = address
        self._topology = topology
        self._guided = guided
        self._silent: set[Endpoint] = set()
        self._refusal: ServerRefused | None = None
        self._due = asyncio.Event()
        self._answered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._due.set()
        self._task = asyncio.create_task(self._run(), name="weir-guide")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def look(self) -> None:
        """Ask soon: something was served elsewhere, or is not served."""
        self._due.set()

    async def known(self) -> None:
        """Wait until the nodes are known.

        :raises ServerRefused: when those that answer refuse.
        """
        await self._answered.wait()
        if self._refusal is not None and not self._topology.is_known:
            raise self._refusal

    def refuse(self, reason: str) -> None:
        """Fail those who wait for the nodes, where none is known."""
        if not self._topology.is_known:
            self.problem, self._refusal = reason, ServerRefused(reason)
            self._answered.set()

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                found = await self._ask()
            except ServerRefused as error:
                self.problem, self._refusal = str(error), error
                self._answered.set()
            except (*LOST, ConcurrencyError) as error:
                self.problem = described(error)
            except Exception as error:  # noqa: BLE001  # every name that moves waits for this task
                log.defect(error, "a defect ended a question about the Cluster", problem=repr(error))
            else:
                self._topology.learn(found.nodes, self._guided.may_change)
                self._guided.settle(found.asked)
                self._answered.set()
                if self._guided.is_well():
                    pause = _FIRST_PAUSE
                    await asyncio.sleep(pause)  # many names may move at once
                    continue
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
            self._due.set()

    async def _ask(self) -> Found:
        """Ask on a link that is open; where none answers, any node that is known, on a connection of its own."""
        for node, calls in self._guided.open_calls():
            try:
                async with asyncio.timeout(_TIMEOUT):
                    return Found(node, read_slots(await calls.command(*QUESTION), node))
            except (*LOST, ConcurrencyError) as error:
                self.problem = described(error)
        return await survey(self._address, self._topology.to_ask(), _TIMEOUT, self._silent)
