"""Portion: what one call of takes carries."""

from collections.abc import Collection
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
