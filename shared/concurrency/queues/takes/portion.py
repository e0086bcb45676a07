"""Portion: what one call of takes carries."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from shared.concurrency.queues.takes.demand import Wish
from shared.concurrency.queues.takes.settlements import Settlements


class Portion(NamedTuple):
    """What one call settles. Its number stays when the call is repeated; what it takes is asked for anew each time."""

    session_id: str
    keys: dict[str, bytes]
    settle_number: int
    settlements: Settlements

    def words(
        self, number: int, wish: Wish, held: Collection[bytes] | None, *, handed: bytes, is_idle: bool
    ) -> tuple[bytes | str | int, ...]:
        """As the script takes it, under this number. `held`: receipts, None when the session is over here.

        `handed`: the receipt that the call confirms, empty for none; `is_idle`: whether the session is registered so.
        """
        settlements, is_resync = self.settlements, wish.is_resync
        # What this very call settles must not go back by it: the server may not know yet that the session is over.
        kept: Iterable[bytes] = settlements.receipts() if held is None else held
        return (
            self.session_id,
            number,
            self.settle_number,
            -1 if held is None else len(held),
            b"".join(settlements.acks),
            b"".join(settlements.returns),
            0 if not is_resync else 2 if held is None else 1,
            b"".join(kept) if is_resync else b"",
            handed,
            wish.want,
            wish.may_idle,
            int(is_idle or is_resync),
            *[word for other in settlements.others for word in other],
        )
