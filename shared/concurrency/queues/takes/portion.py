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
        settlements = self.settlements
        resync, keep = self._resync(wish, held) if wish.is_resync else (0, ())
        return (
            self.session_id,
            number,
            self.settle_number,
            -1 if held is None else len(held),
            b"".join(settlements.acks),
            b"".join(settlements.returns),
            resync,
            b"".join(keep),
            handed,
            wish.want,
            wish.may_idle,
            int(is_idle or wish.is_resync),
            *[word for other in settlements.others for word in other],
        )

    def _resync(self, wish: Wish, held: Collection[bytes] | None) -> tuple[int, Iterable[bytes]]:
        """How the script resyncs, and the receipts that go with that."""
        if held is None:
            # What this very call settles must not go back by it: the server may not know yet that the session is over.
            return 2, self.settlements.receipts()
        if not wish.in_parts:
            return 1, held
        return (0, ()) if wish.named is None else (3, wish.named)
