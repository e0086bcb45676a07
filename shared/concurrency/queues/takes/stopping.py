"""The lane of what is to be stopped: what this process holds of messages that were cancelled.

A script notifies every session of a message that is cancelled. The calls beside that ask which of the messages held
here are, where a broken connection may have swallowed a notification.
"""

from typing import ClassVar, Final
from weakref import ref

from shared.concurrency.queues.encoding.entry import key_of, keys_in
from shared.concurrency.queues.membership.lane import Lane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.session.calls import Call
from shared.concurrency.session.log import Log
from shared.concurrency.session.scripts import load

log = Log("queues")

_MOST: Final = 1000
"""Keys in one call."""


class _Stopped:
    """Stands for a delivery that is on its way to a caller, and whose message was cancelled meanwhile."""

    __slots__ = ("receipt",)

    def __init__(self, receipt: bytes) -> None:
        self.receipt = receipt

    def lose(self) -> None:
        """Nobody has it in hands."""

    def stop(self) -> None:
        """It is."""


class StoppingLane(Lane[list[bytes]]):
    """Stops what this process holds of messages that were cancelled."""

    NAME: ClassVar = "weir-stopping"

    def __init__(self, member: Membership, takes: TakeLane) -> None:
        """Prepare; the lane works while there is something to ask."""
        super().__init__(member)
        self._takes: Final = takes
        self._is_in_doubt = False

    def stop_messages(self, keys: set[bytes]) -> None:
        """Stop what is held of messages with these keys."""
        for receipt in [receipt for receipt in self._member.held if key_of(receipt) in keys]:
            self._stop(receipt)

    def resync(self) -> None:
        """Ask which of the messages held here were cancelled: a notification may be lost."""
        if self._member.held:
            self._is_in_doubt = True
            self.kick()

    def _stop(self, receipt: bytes) -> None:
        held = self._member.held
        there = held[receipt]
        # No `any`, which would leave out the takers behind the first that has it.
        was_unread = sum(taker.withdraw(receipt) for taker in self._takes.demand.getters.takers) > 0
        holding = there() if isinstance(there, ref) else there
        if holding is not None:
            holding.stop()
        elif was_unread:
            _ = self._takes.settle(receipt, "cancelled")  # refused: it was ended elsewhere
        elif there is None:
            # Settled, and not answered yet; or a caller of `get` has it as soon as the loop turns.
            held[receipt] = _Stopped(receipt)

    # --- the lane ---------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """At once, while in doubt."""
        return 0 if self._is_in_doubt else None

    def is_unsent(self) -> bool:
        """Whether it is in doubt."""
        return self._is_in_doubt

    def compose(self) -> list[bytes]:
        """The keys of all that is held."""
        self._is_in_doubt = False
        return list({key_of(receipt): None for receipt in self._member.held})

    async def send(self, call: list[bytes]) -> None:
        """Ask for them."""
        for first in range(0, len(call), _MOST):
            words = call[first : first + _MOST]
            await self._member.calls.insist(
                Call(
                    load("marked"),
                    self._member.keys,
                    tuple(words),
                    at_reply=lambda found: self.stop_messages(keys_in(found)),
                )
            )

    def fail(self, call: list[bytes] | None, error: Exception) -> None:
        """Nobody waits for it: what is held goes on, and a mark meets the message when it is given back."""
        self._is_in_doubt = False
        if call:
            log.warning("which messages were cancelled is not known", queue=self._member.name, problem=str(error))
