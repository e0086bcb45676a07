"""Opening: makes handouts of entries as they are stored."""

from collections import deque
from typing import Final, Generic, TypeVar

from shared.concurrency.queues.deliveries.gathering import Gathering
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.queues.deliveries.unread import Unread
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.encoding.unreadable import Unreadable
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.takes.pace import OPENED_AT_ONCE

T = TypeVar("T")


class Opening(Generic[T]):
    """Reads entries for a consumer service; those that cannot be read become dead letters, or go back."""

    def __init__(
        self,
        member: Membership,
        settler: Settler,
        codec: Codec[T],
        results: ResultCodec,
        *,
        unread: Unread,
        gathering: Gathering[T],
    ) -> None:
        """Prepare; what is opened is held by `member` and settled with `settler`; the rest counts as started.

        `unread` settles what cannot be read; `gathering` gets what is handled in batches.
        """
        self._member: Final = member
        self._settler: Final = settler
        self._codec: Final = codec
        self._results: Final = results
        self._unread: Final = unread
        self._pace: Final = gathering.pace
        self._gathering: Final = gathering

    def open_some(self, taken: deque[bytes], opened: deque[Handout[T]]) -> None:
        """Read the next entries. Few at a time: what is soon done with never gets in the garbage collector's way."""
        settler, codec, held, results = self._settler, self._codec, self._member.held, self._results
        companies = self._gathering.companies
        count, gone_back = min(len(taken), OPENED_AT_ONCE), 0
        for _ in range(count):
            entry = taken.popleft()
            try:
                handout = Handout(settler, entry, codec.open(entry), results)
            except Unreadable as error:
                self._pace.started += 1
                gone_back += self._unread.settle(entry, error)
                continue
            held[handout.receipt] = handout
            if companies and type(handout.item) in companies:
                self._gathering.add(handout)
            else:
                opened.append(handout)
        if gone_back or self._unread.is_recent:
            self._unread.note(count - gone_back, gone_back)
            self._pace.is_cautious = self._unread.is_most
