"""Flight: the one call of a lane that is under way, and who waits until all that the lane was given is answered."""

import asyncio
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.concurrency.session.futures import resolve

C = TypeVar("C")


@dataclass(slots=True, eq=False)
class Flight(Generic[C]):
    """What one lane has under way. Read on the way of every message, so its state is plain fields."""

    number: int = 0
    """The number of the last call."""
    call: C | None = None
    """What is in flight. A room sets it None as it takes the answer: nobody waits for it any more."""
    is_begun: bool = False
    """From before the call is composed until the lane looks for the next one."""
    is_answered: bool = False
    """Whether the answer has come and the lane has not looked for the next call yet; noted by rooms that ask for it."""
    flushing: "list[asyncio.Future[None]]" = field(default_factory=list)
    """Who waits until nothing is under way or unsent."""

    def ended(self) -> C | None:
        """Nothing is in flight any more; what was, where it is not answered."""
        call, self.call = self.call, None
        self.is_begun = self.is_answered = False
        return call

    def resolve_flushing(self) -> None:
        """Have those who flush look again."""
        flushing, self.flushing = self.flushing, []
        for answered in flushing:
            resolve(answered)
