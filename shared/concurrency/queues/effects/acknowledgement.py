"""Acknowledgement: a delivery that is done with, on its way to the server with its effects."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from shared.concurrency.queues.effects.staging import Staged
from shared.concurrency.queues.effects.writes import Write, Writes

_NONE: Final[Mapping[Write, Staged]] = MappingProxyType({})


class Acknowledgement:
    """One delivery that is done with, and its effects."""

    # There is one for each message: without a dictionary or a future, which the garbage collector would visit.
    __slots__ = (
        "_answered",
        "_told",
        "is_written",
        "may_stage",
        "outcome",
        "receipt",
        "staged",
        "was_forbidden",
        "writes",
    )

    def __init__(
        self, receipt: bytes, writes: Writes, outcome: bytes, told: Callable[[Exception | None], bool]
    ) -> None:
        """`outcome`: the result as it travels, empty where nobody asked for it.

        `told` is called once: with None when all is written, else with the error. It says whether somebody settles the
        delivery, where it is still ours.
        """
        self.receipt: Final = receipt
        self.writes: Final = writes
        self.outcome: Final = outcome
        self._told: Final = told
        self._answered = False
        self.staged = _NONE
        """What of its puts is at their queues already; empty where one call carries them all."""
        self.may_stage = True
        """Whether its puts may be staged: not again, where they were lost."""
        self.is_written = False
        """Whether the server has made its writes."""
        self.was_forbidden = False
        """Whether the ACL forbade one of its keys when it was alone in a call: the rule may have changed since."""

    def answer(self, error: Exception | None) -> bool:
        """Tell what came of it, once; returns whether somebody settles the delivery, where it is still ours."""
        if self._answered:
            return True
        self._answered = True
        return self._told(error)

    def take_staged(self) -> Mapping[Write, Staged]:
        """What is staged; from here on nothing is."""
        staged, self.staged = self.staged, _NONE
        return staged
