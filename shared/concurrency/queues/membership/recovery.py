"""Recovery: gives a queue back what sessions held, and logs what became of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from shared.concurrency.queues.encoding.entry import receipts_in
from shared.concurrency.queues.membership.keys import leased_key
from shared.concurrency.session.calling import Calling
from shared.concurrency.session.log import Log

log = Log("queues")

# So many deliveries a call; fewer where they are large.
_GIVEN_BACK: Final = 500


class DeadNotice(NamedTuple):
    """That a message has become a dead letter, as the process is told whose call made it one."""

    queue: str
    """The queue's name, with its group where it has one."""
    key: str
    """What `letters.replay` and `letters.discard` take."""
    id: str
    """The id given to `put`, or else the key."""
    type: str
    """The name of its class."""
    reason: str
    """failed, crashed, ..., or what the handler's Reject said."""
    error: str
    """What was wrong the last time; empty where it is unknown."""


class Caller(Protocol):
    """Who runs scripts at a queue."""

    name: str

    @property
    def calls(self) -> Calling:
        """The calls of this process, which count what it does."""

    @property
    def keys(self) -> dict[str, bytes]:
        """The keys of the queue, by what the scripts call them."""

    async def call(self, name: str, *arguments: bytes | str | int, keys: Mapping[str, bytes] | None = None) -> Any:
        """Run the script of this name, which may be repeated, waiting out an outage."""


class Recovery:
    """Takes what was in the hands of a session that is over, or ends."""

    def __init__(self, caller: Caller) -> None:
        """Prepare; nothing is called yet."""
        self._caller: Final = caller
        self.on_dead: Callable[[DeadNotice], object] | None = None
        """Who else is told of each dead letter; it must not raise."""
        self.overdue = ""
        """A session whose deliveries are to be recovered, as an answer said."""

    async def recover(self, session_id: str) -> None:
        """Give the queue back what overdue sessions held: this one, and all others that there are then."""
        seen, others = {session_id}, await self._recover(session_id)
        while new := [each for each in dict.fromkeys(others) if each not in seen]:
            seen.update(new)
            answers = await asyncio.gather(*map(self._recover, new))
            others = [each for answer in answers for each in answer]

    async def _recover(self, session_id: str) -> list[str]:
        """Give back what one held; returns others that are overdue."""
        taken, (_, others, discarded) = await self._give_back("recover", session_id)
        self.log_discarded(discarded)
        if taken:
            self._caller.calls.tally.add("deliveries_recovered", self._caller.name, taken)
            log.warning(
                "recovered the deliveries of a dead session",
                queue=self._caller.name, session=session_id, count=taken,
            )  # fmt: skip
        return [each.decode() for each in others]

    async def leave(self, session_id: str, withdrawn: bytes = b"") -> None:
        """Give back what a session of ours holds and end it; `withdrawn`: keys of its puts that may still wait."""
        await self._give_back("leave", session_id, withdrawn)

    async def _give_back(self, script: str, session_id: str, *words: bytes) -> tuple[int, list[Any]]:
        """Give back all that a session holds, in its order; returns how much, and what else the last answer says.

        Where that is very much, it is put in order here: the server would have to sort all of it in each call.
        """
        call = self._caller.call
        keys = {**self._caller.keys, "leased": leased_key(self._caller.name, session_id)}
        total, left, _, *more = await call(script, session_id, *words, b"-", keys=keys)
        self.log_dead(more[0] if more else ())
        # None are left where somebody else has recovered the session meanwhile.
        while left and (receipts := await self.receipts(keys)):
            at = 0
            while left and at < len(receipts):
                names = b"".join(receipts[at : at + _GIVEN_BACK])
                count, left, looked, *more = await call(script, session_id, *words, names, keys=keys)
                self.log_dead(more[0] if more else ())
                total, at = total + count, at + looked
        return total, more

    async def receipts(self, keys: Mapping[str, bytes]) -> list[bytes]:
        """All that the session of these keys holds, in its order; some at a time."""
        found: set[bytes] = set()
        cursor = b"0"
        while True:
            cursor, joined = await self._caller.call("receipts", cursor, keys=keys)
            found.update(receipts_in(joined))
            if cursor == b"0":
                return sorted(found)

    # --- what is logged ---------------------------------------------------------------------------------------------

    def log_dead(self, died: Sequence[bytes]) -> None:
        """Log what an answer tells of messages that became dead letters: five words for each."""
        for at in range(0, len(died), 5):
            key, id_, type_, reason, error = (word.decode("utf-8", "backslashreplace") for word in died[at : at + 5])
            self._caller.calls.tally.add_dead(self._caller.name, reason)
            log.error(
                "the message is a dead letter",
                queue=self._caller.name, id=id_ or key, type=type_, reason=reason, error=error,
            )  # fmt: skip
            if self.on_dead is not None:
                self.on_dead(DeadNotice(self._caller.name, key, id_ or key, type_, reason, error))

    def log_discarded(self, count: int) -> None:
        """Log that the oldest dead letters were discarded, if any were."""
        if count:
            log.warning(
                "dead letters were discarded: the queue keeps so many, and so long",
                queue=self._caller.name, count=count,
            )  # fmt: skip
