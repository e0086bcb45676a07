"""All that one process has at one queue: its membership and its lanes."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.queues.deliveries.spans import process_spans
from shared.concurrency.queues.effects.forwards import Destination
from shared.concurrency.queues.encoding.entry import KEY
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.operations import OperationsLane
from shared.concurrency.queues.puts.lane import PUT_WORDS, PutLane
from shared.concurrency.queues.results.cancellation import Canceller
from shared.concurrency.queues.results.lane import RESULT_WORDS, ResultLane
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.queues.takes.stopping import StoppingLane
from shared.concurrency.session.process import Process
from shared.concurrency.session.renewable import Renewable


class QueueParticipant:
    """The membership of a session at one queue, and a lane for each way of a message."""

    WORDS: ClassVar[tuple[bytes, ...]] = (
        b"handed", b"wake", *PUT_WORDS, *RESULT_WORDS, b"onward", b"finished", b"drain",
        b"discarded", b"cancel", b"cancelled", b"done",
    )  # fmt: skip
    """The notifications that it receives."""

    CLOSES: ClassVar = 0
    """Before the locks: a message whose handler still holds a lease goes back while it holds."""

    LASTS: ClassVar = True

    def __init__(self, process: Process, name: str) -> None:
        """Prepare; the first call registers."""
        self.process: Final = process
        self.member = Membership(process.calls_of(name), process.owner, process.ttl, name)
        self.member.run_id = self.member.calls.run_id
        self.puts = PutLane(self.member)
        self.takes = TakeLane(self.member)
        self.settler = Settler(self.member, self.takes, process.check_here)
        self.spans: Final = process_spans(self.member, self.settler)
        """Of what is handled here; None where nobody traces."""
        self.results = ResultLane(self.member)
        self.destination = Destination(self.member)
        """What acknowledgements of other queues put into this one."""
        self.operations = OperationsLane(self.member)
        self.stopping = StoppingLane(self.member, self.takes)
        self.canceller = Canceller(self.operate, self.member)
        self.left_leased = 0
        """Deliveries that `close` could not give back: they stay leased until the session's deadline."""
        self.finished = asyncio.Event()
        """Set when all messages of the queue are finished."""

    def receive(self, word: bytes, rest: bytes) -> None:
        """Take note of a notification."""
        if word == b"handed":
            session_id, _, entry = rest.partition(b" ")
            self.takes.handed(session_id.decode(), entry)
        elif word == b"wake":
            self.takes.woken()
        elif word in PUT_WORDS:
            self.puts.receive(word, rest)
        elif word in RESULT_WORDS:
            self.results.receive(word, rest)
        elif word == b"onward":
            self.destination.admitted(rest)
        else:
            self._receive_rare(word, rest)

    def _receive_rare(self, word: bytes, rest: bytes) -> None:
        if word == b"finished":
            self.finished.set()
        elif word == b"drain":
            self.member.draining.set()
        elif word == b"discarded":
            self.member.recovery.log_discarded(int(rest))
        elif word == b"cancel":
            self.stopping.stop_messages(set(rest.split()))
        elif word == b"cancelled":
            self.puts.resync()
        elif word == b"done":
            self.canceller.done(rest[:KEY])

    async def ask(self, script: str, *arguments: bytes | str | int, keys: Mapping[str, bytes] | None = None) -> Any:
        """Run a script that may be repeated; `keys`: others than the queue's own. Cancelled, it is not repeated.

        :raises ConcurrencyError: when the session is closed, or the server refuses the script.
        """
        self.process.check_open()

        if not self.member.registration.is_done:
            await self.member.registration.ready()
        return await self.member.call(script, *arguments, keys=keys)

    async def operate(self, script: str, *arguments: bytes | str | int) -> list[Any]:
        """Run the script of an operation, once though its answer is lost; cancelled, it is withdrawn.

        :raises ConcurrencyError: as `ask`.
        """
        self.process.check_open()
        return await self.operations.run(script, *arguments)

    @property
    def renewable(self) -> Renewable:
        """The session at this queue."""
        return self.member

    def tick(self) -> None:
        """End the session at this queue when its deadline has passed."""
        self.member.look_at_clock()

    async def connected(self, run_id: str) -> None:
        """Announce which run of the server this is; another one may have come back with older data."""
        if run_id != self.member.run_id:
            self.member.run_id = run_id
            self.member.registration.server_came_back()
            self.puts.server_came_back()
            self.takes.resync_if_called()
            self.results.server_came_back()
        known = await self.member.announce()
        # While it is closed the queue knows no call of ours any more.
        await self.results.look_back(known if not self.member.life.is_left else None)

    def resync(self) -> None:
        """Query the queue: notifications that were sent while the connection was away are lost."""
        self.takes.woken()
        self.puts.resync()
        self.results.resync()
        self.stopping.resync()
        self.finished.set()

    async def close(self, patience: float) -> None:
        """Settle what is finished, give back what is held, withdraw what waits; gives up after `patience` seconds."""
        life, held = self.member.life, self._unsettled()
        try:
            async with asyncio.timeout(patience):
                self.takes.demand.getters.end(ConcurrencyError("the session was closed while this get was waiting"))
                await self.settler.effects.finish(patience / 2)
                await self.takes.flush()
                withdrawn = await self.puts.leave()
                await self.results.flush()
                held = self._unsettled()
                await self.member.leave(withdrawn)
        except (TimeoutError, ConcurrencyError) as error:
            # Out of reach: whoever takes recovers it after the session's deadline, which may have passed meanwhile.
            if life is self.member.life and self.member.held:
                held = self._unsettled()
            if held:
                life.report_left(held, str(error) or self.member.calls.why_they_wait())
            self.left_leased = held
        finally:
            await self.puts.stop()
            await self.settler.stop()
            await self.takes.stop()
            await self.results.stop()
            await self.stopping.stop()
            await self.operations.stop()
            await self.member.stop()

    def _unsettled(self) -> int:
        return len(self.member.held) + self.takes.failed
