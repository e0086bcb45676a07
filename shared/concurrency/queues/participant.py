"""All that one process has at one queue: its membership and its lanes."""

import asyncio
import base64
import itertools
import secrets

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.dead_letters import LettersLane
from shared.concurrency.queues.effects.effects import Awaiting
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.puts.lane import PutLane
from shared.concurrency.queues.results.lane import RESULT_NEWS, Results
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.session.connection import Connection


class Lanes:
    """The membership of a session at one queue, with a lane for puts, one for takes, one for dead letters and one for results."""

    def __init__(self, connection: Connection, owner: str, ttl: float, name: str) -> None:
        """Prepare; the first call registers."""
        self.member = Membership(connection, owner, ttl, name)
        self.puts = PutLane(self.member)
        self.takes = TakeLane(self.member)
        self.results = Results(self.member)
        self.onward: dict[bytes, Awaiting] = {}
        """Keys of entries in the queue's line, and who put them there with an acknowledgement."""
        self._onward_owner = b"+" + base64.b32encode(secrets.token_bytes(7)).lower()[:11]
        self._onward_numbers = itertools.count(1)
        self.letters = LettersLane()
        self.finished = asyncio.Event()
        """Set when the queue says that all its messages are done with."""

    def onward_tail(self, middle: bytes, body: bytes) -> bytes:
        """An entry for a put that travels with an acknowledgement: nobody owns it, and its key says so by a plus."""
        return b"%b%010d%b%b" % (self._onward_owner, next(self._onward_numbers), middle, body)

    def hear(self, what: bytes, more: bytes = b"") -> None:
        """Take note of what a script told this process."""
        if what == b"handed":
            session_id, _, entry = more.partition(b" ")
            self.takes.handed(session_id.decode(), entry)
        elif what == b"wake":
            self.takes.woken()
        elif what == b"admitted":
            self.puts.admitted(int(more))
        elif what in RESULT_NEWS:
            self.results.hear(what, more)
        elif what == b"onward":
            awaiting = self.onward.pop(more, None)
            if awaiting is not None:
                awaiting.let_in(more)
        elif what == b"shutdown":
            self.puts.look()
        elif what == b"finished":
            self.finished.set()
        elif what == b"drain":
            self.member.draining.set()

    def look(self) -> None:
        """See how things are: what a script told us while we were cut off is lost."""
        self.takes.woken()
        self.puts.look()
        self.results.look()
        self.finished.set()

    async def close(self, patience: float) -> None:
        """Settle what is finished, give back what is held, leave the line; gives up after `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                self.takes.demand.end(ConcurrencyError("the session was closed while this get was waiting"))
                await self.takes.effects.finish(patience / 2)
                await self.takes.flush()
                withdrawn = await self.puts.stop()
                await self.results.flush()
                await self.member.leave(withdrawn)
        except (TimeoutError, ConcurrencyError):
            pass  # out of reach: the queue takes it back at the session's deadline
        finally:
            await self.puts.stop()
            await self.takes.stop()
            await self.results.stop()
            await self.member.stop()
