"""The lane of progress: what handlers say of how far they are, the newest of each delivery, one call in flight."""

import asyncio

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.log import Log
from shared.concurrency.session.scripts import load

log = Log("queues")


class ProgressLane:
    """What the handlers of one process say to those who submitted messages to one queue. A hint: it may get lost."""

    def __init__(self, member: Membership) -> None:
        """Prepare; the lane works while there is something to say."""
        self._member = member
        self._script = load("progress")
        self._said: dict[bytes, bytes] = {}
        self._task: asyncio.Task[None] | None = None

    def say(self, field: bytes, said: bytes) -> None:
        """Say it with the next call, in the place of what this delivery said before and was not sent."""
        self._said[field] = said
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="weir-progress")

    async def stop(self) -> None:
        """End the lane."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while self._said:
            said, self._said = self._said, {}
            words = [word for both in said.items() for word in both]
            member = self._member
            try:
                await member.call_once(self._script, member.keys, member.session_id, *words, at_reply=_nothing)
            except ConcurrencyError as error:
                log.debug("progress was not told", queue=member.name, problem=str(error))


def _nothing(_: object) -> None:
    """Nobody waits for the answer."""
