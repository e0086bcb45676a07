"""Settlements: what the next call settles, and what the server answered."""

import asyncio
from collections.abc import Iterable
from itertools import chain
from typing import Final, TypeAlias, TypeVar

from shared.concurrency.errors import StaleDelivery
from shared.concurrency.queues.encoding.entry import RECEIPT, key_of, receipts_in
from shared.concurrency.session.futures import reject, resolve
from shared.concurrency.session.log import Log
from shared.concurrency.session.tally import Tally

T = TypeVar("T")

log = Log("queues")

LONGEST_TEXT: Final = 1000
"""Characters of a reason or a report that are kept."""
_MOST_ACKS: Final = 2000
_MOST_ACKS_WITH_KEYS: Final = 500
"""In a queue with keys an acknowledgement takes the server five times as long: it lets the next one go."""
_MOST_RETURNS: Final = 500
_MOST_OTHERS: Final = 250
_MOST_BYTES: Final = 4 << 20
"""What one call carries at most."""
_MOST_MOVED: Final = 2 << 20
"""Bytes of the messages that one call moves at the server, at most, or one that is larger."""
LARGE: Final = 2 << 10
"""From so many bytes on a message counts: all that one call settles have no more than `_MOST_MOVED` otherwise."""


_NACKS: Final = frozenset({"nack", "crash", "wait"})
"""Kinds by which a consumer gives a delivery back, to be tried again or to be a dead letter."""


Other: TypeAlias = "tuple[bytes, str, bytes] | tuple[bytes, str, int | str | bytes, str, int | str, bytes, str]"
"""What stands for a delivery that is neither acknowledged nor given back: three words of a result, else seven."""


class Settlements:
    """Deliveries to settle, by kind, with those who wait for the answer."""

    __slots__ = ("acks", "large", "others", "returns", "waiting")

    def __init__(self) -> None:
        """Start empty."""
        self.acks: list[bytes] = []
        self.returns: list[bytes] = []
        self.others: list[Other] = []
        self.waiting: dict[bytes, asyncio.Future[None]] = {}
        self.large: dict[bytes, int] = {}
        """Receipts of large messages that the server moves -> their bytes."""

    def add(
        self, entry: bytes, kind: str, value: int | str | bytes = 0, report: str = "",
        *, attempts: int | None = None, headers: bytes = b"", trace: str = "",
    ) -> None:  # fmt: skip
        """Add one, by its entry or its receipt.

        Kinds: ack, return, lost, cancelled, result (value: outcome), nack, pass, crash (delay in ms), dead (reason).

        Or wait: the delay in ms, a space, and for how many ms since the first wait it is no failure. Or later: as wait,
        then it is a dead letter, for the reason that stands behind another space.
        `attempts`: failures until it is a dead letter, None for what is stored with the queue; `headers`: the message's
        new ones, empty when they stay as they are; `trace`: the traceback, for whoever asked for the result.
        """
        receipt = entry[:RECEIPT]
        if kind == "ack":
            self.acks.append(receipt)
            return
        if len(entry) > LARGE:
            self.large[receipt] = len(entry)
        if kind == "return":
            self.returns.append(receipt)
        elif kind == "result":
            assert isinstance(value, bytes)  # noqa: S101  # for the type checker: an outcome
            self.others.append((receipt, kind, value))
        else:
            # A lone surrogate in an exception's text cannot be sent as it is.
            most = "" if attempts is None else attempts
            report = _sendable(report[:LONGEST_TEXT])
            self.others.append((receipt, kind, _sendable(value), report, most, headers, _sendable(trace)))

    def read_with_its_entry(self, entry: bytes) -> None:
        """Take note that the server reads the entry of an acknowledgement: its key lets the next one go."""
        self.large[entry[:RECEIPT]] = len(entry)

    def __len__(self) -> int:
        return len(self.acks) + len(self.returns) + len(self.others)

    def receipts(self) -> Iterable[bytes]:
        """All that is settled here."""
        return chain(self.acks, self.returns, (receipt for receipt, *_ in self.others))

    def portion(self, *, with_keys: bool = False) -> "Settlements":
        """Take out what one call carries. `with_keys`: whether the queue has messages with keys."""
        portion, most_acks = Settlements(), _MOST_ACKS_WITH_KEYS if with_keys else _MOST_ACKS
        if self._is_small(most_acks):
            for word in self.__slots__:
                mine, theirs = getattr(self, word), getattr(portion, word)
                setattr(self, word, theirs)
                setattr(portion, word, mine)
            return portion
        acks, moved = self._fitting(self.acks[:most_acks], 0)
        portion.acks, self.acks = self.acks[:acks], self.acks[acks:]
        returns, moved = self._fitting(self.returns[:_MOST_RETURNS], moved)
        portion.returns, self.returns = self.returns[:returns], self.returns[returns:]
        most, _ = self._fitting([receipt for receipt, *_ in self.others[:_MOST_OTHERS]], moved)
        while most > 1 and self._bytes(most) > _MOST_BYTES:
            most //= 2
        portion.others, self.others = self.others[:most], self.others[most:]
        for receipt in portion.receipts():
            self.large.pop(receipt, None)
            if receipt in self.waiting:
                portion.waiting[receipt] = self.waiting.pop(receipt)
        return portion

    def _is_small(self, most_acks: int) -> bool:
        """Whether one call carries all of it."""
        return (
            len(self.acks) <= most_acks
            and len(self.returns) <= _MOST_RETURNS
            and len(self.others) <= _MOST_OTHERS
            and self._bytes(len(self.others)) <= _MOST_BYTES
            and (len(self.large) <= 1 or sum(self.large.values()) <= _MOST_MOVED)
        )

    def _fitting(self, receipts: list[bytes], moved: int) -> tuple[int, int]:
        """How many of these one call moves beside so many bytes, and what it moves then; at least one beside none."""
        for count, receipt in enumerate(receipts):
            size = self.large.get(receipt, 0)
            if moved and size and moved + size > _MOST_MOVED:
                return count, moved
            moved += size
        return len(receipts), moved

    def _bytes(self, count: int) -> int:
        """Bytes of the first of the others: results and tracebacks may be large."""
        words = (word for other in self.others[:count] for word in (other[2], *other[6:]))
        return sum(len(word) for word in words if isinstance(word, bytes | str))

    def count(self, refused: bytes, tally: Tally, queue: str) -> None:
        """Count what became of these; `refused`: see `answer`."""
        if not refused and not self.others:  # as nearly always
            if self.acks:
                tally.add("deliveries_acked", queue, len(self.acks))
            return
        stale = frozenset(self.receipts() if refused == b"all" else receipts_in(refused))
        acked = len(self.acks) - (sum(receipt in stale for receipt in self.acks) if stale else 0)
        nacked = 0
        for receipt, kind, *_ in self.others:
            if receipt not in stale:
                acked += kind == "result"
                nacked += kind in _NACKS
        for what, count in (
            ("deliveries_acked", acked),
            ("deliveries_nacked", nacked),
            ("stale_deliveries", len(stale)),
        ):
            if count:
                tally.add(what, queue, count)

    def answer(self, refused: bytes) -> list[bytes]:
        """Complete those who wait; `refused` holds the receipts that were not ours, or is "all".

        Returns the refused receipts that nobody waits for.
        """
        stale = (
            set(self.receipts())
            if refused == b"all"
            else {refused[at : at + RECEIPT] for at in range(0, len(refused), RECEIPT)}
        )
        for receipt, future in self.waiting.items():
            if receipt in stale:
                reject(future, _stale())
            else:
                resolve(future)
        return [receipt for receipt in stale if receipt not in self.waiting]

    def fail(self, error: Exception) -> None:
        """Fail everybody who waits: the call failed."""
        for future in self.waiting.values():
            reject(future, error)


def log_refused(queue: str, receipts: Iterable[bytes]) -> None:
    """Log what was refused and nobody waits for."""
    for receipt in receipts:
        key = key_of(receipt).decode(errors="backslashreplace")
        log.warning("stale delivery: settled or recovered elsewhere", queue=queue, id=key)


def _sendable(text: T) -> T | str:
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text


def _stale() -> StaleDelivery:
    return StaleDelivery("this delivery is not yours any more: it was settled before, or its session is over")
