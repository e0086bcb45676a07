"""Portion and wish: what one call settles, and what it takes."""

from collections.abc import Collection
from typing import Final, NamedTuple

from shared.concurrency.queues.takes.getters import Getter, Getters
from shared.concurrency.queues.takes.resync import Resync
from shared.concurrency.queues.takes.settlements import Settlements

_MOST_WANTED: Final = 1000


class Wish(NamedTuple):
    """What one call takes, and for whom. It is formed anew each time that the call is sent."""

    want: int
    may_idle: int
    """Whether the session is registered as idle when there is less than that; 2: a put may hand it a message, too."""
    asked: list[Getter]
    doubts: int
    """How many doubts there were."""
    is_resync: bool


def wish_of(getters: Getters, resync: Resync, *, may_take: bool) -> Wish:
    """What all who wait here want together; nothing when nothing may be taken."""
    asked = getters.waiting()
    takers = sum(taker.pace.wants() for taker in getters.takers)
    want = min(_MOST_WANTED, len(asked) + takers) if may_take else 0
    may_wait = takers > 0 or any(getter.may_wait for getter in asked)
    may_idle = 0 if not want else 2 if getters.are_idle() else int(may_wait)
    return Wish(want, may_idle, asked, resync.doubts, resync.doubts != resync.resolved)


class Portion(NamedTuple):
    """What one call settles. Its number stays when the call is repeated; what it takes is asked for anew each time."""

    session_id: str
    keys: dict[str, bytes]
    settle_number: int
    settlements: Settlements

    def words(
        self, number: int, wish: Wish, held: Collection[bytes] | None, *, handed: bytes, is_idle: bool
    ) -> tuple[bytes | str | int, ...]:
        """As the script takes it, under this number. `held`: receipts, None when the session is over.

        `handed`: the receipt that the call confirms, empty for none; `is_idle`: whether the session is registered so.
        """
        settlements, is_resync = self.settlements, wish.is_resync
        return (
            self.session_id,
            number,
            self.settle_number,
            len(held or ()),
            b"".join(settlements.acks),
            b"".join(settlements.returns),
            0 if not is_resync else 2 if held is None else 1,
            b"".join(held or ()) if is_resync else b"",
            handed,
            wish.want,
            wish.may_idle,
            int(is_idle or is_resync),
            *[word for other in settlements.others for word in other],
        )
