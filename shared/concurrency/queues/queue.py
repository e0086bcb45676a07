"""Queue: asyncio.Queue across processes."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from types import EllipsisType
from typing import Any, Final, Generic, Self, TypeVar, overload

from shared.concurrency.checks import LONGEST, check_count, check_seconds, check_together
from shared.concurrency.errors import QueueShutDown
from shared.concurrency.queues.control import QueueControl
from shared.concurrency.queues.deliveries.batch import Batch
from shared.concurrency.queues.deliveries.delivery import Delivery
from shared.concurrency.queues.deliveries.forgettable import Forgettable
from shared.concurrency.queues.deliveries.held_batch import HeldBatch
from shared.concurrency.queues.deliveries.unread import Unread
from shared.concurrency.queues.effects.forwards import Destination
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE
from shared.concurrency.queues.encoding.flow import LEVEL_OF_FLOW, Priority, Way, check_name, way_asked
from shared.concurrency.queues.encoding.outgoing import KEPT_FOR, Outgoing, check_id
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.encoding.unique import once_of
from shared.concurrency.queues.encoding.unreadable import Unreadable
from shared.concurrency.queues.participant import QueueParticipant
from shared.concurrency.queues.puts.batch import OutgoingEntry
from shared.concurrency.queues.puts.bulk import BulkPut
from shared.concurrency.queues.results.future import ResultFuture
from shared.concurrency.queues.results.submitter import HasResult, Submitter
from shared.concurrency.queues.settings import settings_of
from shared.concurrency.queues.takes.handful import Handful
from shared.concurrency.session.names import full_name
from shared.concurrency.session.session import Session, process_of

T = TypeVar("T")
R = TypeVar("R")


class Queue(QueueControl, Generic[T]):
    """A first-in, first-out queue with a bound, shared by all processes that use its name.

    It keeps asyncio.Queue's meaning. Differences: what touches the server is a coroutine; `get` returns a Delivery,
    because a crash after `get` must not lose the item; there is no `empty()` or `full()`; and with several consumers
    messages are handed out in order, but not handled in order. All calls wait out an outage of the server: bound them
    with asyncio.timeout.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        type: type[T],  # noqa: A002  # the public name
        *,
        maxsize: int | None = None,
        max_attempts: int | None = None,
        max_crashes: int | EllipsisType | None = ...,
        max_dead: int | None = None,
        dead_for: float | None = None,
        max_message_bytes: int = 262144,
        known_for: float = 3600.0,
        group: str | None = None,
        result: Any = None,
        results_for: float = KEPT_FOR,
        unread_for: float = 3600.0,
    ) -> None:
        """Prepare; the first call talks to the server.

        `type`: anything pydantic can validate; see Codec for classes that register their subclasses. `maxsize`: how
        many messages may be pending, 0 for no bound; stored with the queue by whoever sets it first, changed by
        `resize` only, as are the next four; None takes what is stored (no bound until then). `max_attempts`: failures
        until a message is a dead letter, 5 until set. `max_crashes`: deliveries that end with their process until it is
        one, 1 to 9, or None for never; left out, what is stored (5 until then). `max_dead`: how many dead letters are
        kept, and `dead_for`: for how many seconds, 1 at least; the oldest are discarded then, and a warning says so.
        Without bound until then. `max_message_bytes`: of the encoded message, and of a result; 16 MiB
        at most. `known_for`: seconds for which `put(id=)` remembers an id. `group`: queues of one group share a hash
        slot, so that on a Cluster too an acknowledgement in one can put into another; the group belongs to the name:
        "a" in a group is another queue than "a". `result`: the type of what handlers return, where the message classes
        do not say it; None for any JSON value. `results_for`: seconds for which a result that was not received is kept
        for this process, 10 at least. `unread_for`: seconds for which a message goes back whose class, or its version,
        this process does not know; then it is a dead letter.

        :raises ValueError: when a name or a number is out of range.
        :raises ConcurrencyError: when the session is closed.
        """
        self.full_name: Final = full_name(name, group)
        self.name: Final = name
        settings = settings_of(maxsize, max_attempts, max_crashes, max_dead, dead_for)
        check_count("max_message_bytes", max_message_bytes, 1, LARGEST_MESSAGE)
        check_seconds("known_for", known_for, 0.001, LONGEST)
        check_seconds("results_for", results_for, 10, LONGEST)
        check_seconds("unread_for", unread_for, 0.001, LONGEST)
        super().__init__(process_of(session).part(QueueParticipant, self.full_name))
        self._codec: Codec[T] = Codec(type, max_message_bytes)
        self._results = ResultCodec(result, max_message_bytes)
        self._outgoing: Outgoing[T, OutgoingEntry] = Outgoing(
            self._codec,
            self._participant.puts.numbering.entry,
            known_for=known_for,
            results_for=results_for,
            on_flow=partial(self._participant.member.registration.need_level, LEVEL_OF_FLOW),
        )
        participant = self._participant
        self._submitter = Submitter(
            participant.puts, participant.results, self._results, results_for, participant.canceller.cancel
        )
        spans = participant.spans
        self._hold: Callable[..., Forgettable[T]] = Forgettable if spans is None else spans.handout
        self._hold_together: Callable[..., HeldBatch[T]] = HeldBatch if spans is None else spans.batch
        self._unread = Unread(self._participant.takes, self.full_name, unread_for)
        self._participant.member.registration.wish(**settings)

    # --- putting ----------------------------------------------------------------------------------------------------

    async def put(
        self,
        item: T,
        *,
        id: str | None = None,  # noqa: A002  # the public name
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> bool:
        """Put an item; waits while the queue is full, first come, first served among all processes.

        Returns whether it was added: False when `id` was known.

        A put that returned is never lost. `id`: names the message; a known id with the same body is no new message
        (the put returns False, nothing is added), so repeating a put that failed is safe. Cancelled while it waits, it
        is withdrawn, which takes half a second at most; it is not in the queue then, unless it had been let in already
        or the server was out of reach. What it asks of its way wins over what its class declares: `key`, messages of
        one key are handled one at a time, in order; `share`, whose message it is: shares get turns alike, whatever they
        put; `priority`, how often its turn comes; `limit`, the name of a limit that the queue may have.

        :raises QueueShutDown: when the queue is shut down, or is while this put waits.
        :raises MessageCancelled: when somebody cancels the message while this put waits.
        :raises IdConflict: when the id is known with another body.
        :raises MessageTooLarge: when the encoded item is larger than `max_message_bytes`; nothing was sent.
        :raises ValueError: when the item would not come back the same, or the name of its class and the id are too
            long;
            nothing was sent. TypeError for another type.
        """
        way = way_asked(priority, share, key, limit)
        return await self._put(self._entry(item, id, way), may_wait=True)

    async def put_nowait(
        self,
        item: T,
        *,
        id: str | None = None,  # noqa: A002
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> bool:
        """Put an item if there is room now and nobody waits in line; waits for the server's answer only.

        Returns as `put`.

        :raises QueueFull: (an asyncio.QueueFull) when `put` would wait. Otherwise as `put`.
        """
        way = way_asked(priority, share, key, limit)
        return await self._put(self._entry(item, id, way), may_wait=False)

    def _entry(self, item: T, id_: str | None, way: Way | None) -> OutgoingEntry:
        self._participant.process.check_open()
        outgoing = self._outgoing
        return outgoing.plain(item, way) if id_ is None else outgoing.entry(item, id_, way)

    async def _put(self, entry: OutgoingEntry, *, may_wait: bool) -> bool:
        lane = self._participant.puts
        batch = lane.submit([entry], may_wait=may_wait)
        try:
            await batch.done
        except asyncio.CancelledError:
            await lane.withdraw_cancelled(batch)
            raise
        return batch.is_new is not False

    async def put_unique(
        self,
        item: T,
        name: str,
        *,
        replace: bool = False,
        calm: float | None = None,
        longest: float | None = None,
        every: float | None = None,
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> bool:
        """Put an item of which one at most waits under a name; returns whether it was added, as `put`.

        False: one of the name waits, and this put added nothing. With `replace` the one that waits has this item then;
        it keeps its place, and what the first put asked of its way. That needs no room. Handing it out frees the name,
        in the same step: a put after that is a new message, so what was put last is always handled after it was put. A
        message that comes again, for it failed or was given back, keeps the item that it was handed out with, beside a
        new one of the name. While the first put of a name waits for room the others wait with it, no longer.

        `calm`: seconds for which no put of the name may come before it is handed out; each put of the name begins them
        anew, until `longest` seconds after the first. A week at most; they hold back neither `shutdown` nor the bound.
        `every`: adds nothing either for so many seconds after one was added; with none of the others. `key` and what
        else it asks of its way: as `put`; the same text as key and name is one running, one waiting.

        :raises ValueError: when the name has not 1 to 1,000 characters, a number is out of range, `calm` is more than
            `longest`, or `every` goes with another. TypeError: when the name is no str. Otherwise as `put`.
        """
        once = once_of(replace=replace, calm=calm, longest=longest, every=every)
        way = Way(priority, share, key, limit, check_name("once", name))
        self._participant.process.check_open()
        return await self._put(self._outgoing.unique(item, way, once), may_wait=True)

    async def put_many(
        self,
        items: Iterable[T],
        *,
        key: str | Callable[[T], str | None] | None = None,
        share: str | Callable[[T], str | None] | None = None,
        priority: Priority | Callable[[T], Priority | None] | None = None,
        limit: str | Callable[[T], str | None] | None = None,
    ) -> None:
        """Put items in order, as room appears; one round trip for a few hundred of them.

        The iterable is read as the queue takes them. Cancelled, it withdraws those in line, and the CancelledError
        says how many went in. When an item is refused or the iterable raises, those before it go in first, and a note
        on the exception says how many. `key`, `share`, `priority` and `limit`: as `put`; for all of them, or a function
        of the item.

        :raises QueueShutDown: as `put`. ValueError, TypeError, MessageTooLarge: as `put`.
        """
        self._participant.process.check_open()
        is_plain = priority is None and key is share is limit is None
        make = self._outgoing.plain if is_plain else self._outgoing.with_way(priority, share, key, limit)
        await BulkPut(self._participant.puts, make).put(items)

    @overload
    async def submit(
        self,
        item: HasResult[R],
        *,
        id: str | None = None,
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        on_progress: Callable[[float, str], object] | None = None,
    ) -> ResultFuture[R]: ...
    @overload
    async def submit(
        self,
        item: T,
        *,
        id: str | None = None,
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        on_progress: Callable[[float, str], object] | None = None,
    ) -> ResultFuture[Any]: ...
    async def submit(
        self,
        item: Any,
        *,
        id: str | None = None,  # noqa: A002  # the public name
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        on_progress: Callable[[float, str], object] | None = None,
    ) -> ResultFuture[Any]:
        """Put an item, as `put`, and return the future of its result: what the handler returned, or gave to `ack`.

        The message is in the queue then. The future belongs to this process: when that is killed the message is handled
        all the same, and nobody receives the result. `on_progress` is called with what the handler reports by
        `Delivery.progress`.

        `id`: a known id with the same body is no new message; the future is that of the message that was submitted
        first, whose result is kept as long as the id is known; it comes within a second. `key`, `share`, `priority` and
        `limit`: as `put`.

        :raises IdConflict: as `put`; and when the message with this id was put without asking for its result.
        """
        self._participant.process.check_open()
        way = way_asked(priority, share, key, limit)
        make = partial(self._outgoing.entry, item, id, way, is_asked=True)
        return await self._submitter.submit(make, item, id, on_progress)

    @overload
    async def result(
        self,
        id: str,
        of: type[HasResult[R]],
        *,
        on_progress: Callable[[float, str], object] | None = None,
    ) -> ResultFuture[R]: ...
    @overload
    async def result(
        self,
        id: str,
        of: None = None,
        *,
        on_progress: Callable[[float, str], object] | None = None,
    ) -> ResultFuture[Any]: ...
    async def result(
        self,
        id: str,  # noqa: A002  # the public name
        of: type[Any] | None = None,
        *,
        on_progress: Callable[[float, str], object] | None = None,
    ) -> ResultFuture[Any]:
        """The future of the result of a message that any process submitted under this `id=`.

        It is done already when the result is there, and has the last progress; else both come within a second. It is
        found for as long as the id is known (`known_for` of the queue that submitted), and cancelling it only stops
        listening. `of`: the class of the message, where that declares the result; else it is any JSON value, unless
        the queue declares one.

        :raises UnknownId: when no message was submitted under the id, or it is forgotten.
        :raises ValueError: when it is no id.
        """
        self._participant.process.check_open()
        check_id(id)
        return await self._submitter.listen(id, object if of is None else of, on_progress)

    def _forward(self, item: T, way: Way | None, once: str | None = None) -> tuple[Destination, bytes]:
        """Encode an item for a put that travels with an acknowledgement; `Effects` uses it, in any thread.

        :raises ValueError, TypeError, MessageTooLarge: as `put`.
        """
        self._participant.process.check_not_closed()
        destination = self._participant.destination
        return destination, self._outgoing.forwarded(item, destination.entry, way, once)

    # --- getting ----------------------------------------------------------------------------------------------------

    async def get(self) -> Delivery[T]:
        """Take the next message; waits while there is none. A cancelled get loses nothing.

        What cannot be read (undecodable, invalid, too large) becomes a dead letter and is passed over. What is of a
        class or of a version that this process does not know goes back for those who do, for `unread_for` seconds.

        :raises QueueShutDown: when the queue is shut down and all its messages are done with.
        """
        return await self._get(may_wait=True)

    async def get_nowait(self) -> Delivery[T]:
        """Take the next message if there is one; waits for the server's answer only.

        :raises QueueEmpty: (an asyncio.QueueEmpty) when `get` would wait. QueueShutDown: as `get`.
        """
        return await self._get(may_wait=False)

    async def get_many(self, most: int, *, within: float) -> Batch[T]:
        """Take several messages together: `most` of them, or what has come `within` seconds after the first.

        Waits for the first as `get` does. `most`: from 1 to 1,000; `within`: up to a day. Callers of `get` who came
        later are served after this one. Cancelled, it gives back what it has.

        :raises ValueError: when a number is out of range; nothing was sent.
        :raises QueueShutDown: as `get`.
        """
        check_together(most, within)
        self._participant.process.check_open()
        while True:
            entries = await Handful(self._participant.takes, most).take(within)
            opened = [delivery for entry in entries if (delivery := self._opened(entry)) is not None]
            if opened:
                return self._hold_together(opened)

    async def _get(self, *, may_wait: bool) -> Delivery[T]:
        self._participant.process.check_open()
        while True:
            delivery = self._opened(await self._participant.takes.take(may_wait=may_wait))
            if delivery is not None:
                return delivery

    def _opened(self, entry: bytes) -> Forgettable[T] | None:
        """What was taken, in somebody's hands; None where it cannot be read or was cancelled, and is settled."""
        participant = self._participant
        try:
            item = self._codec.open(entry)
        except Unreadable as error:
            self._unread.settle(entry, error)
            return None
        delivery = self._hold(participant.settler, entry, item, self._results)
        participant.member.hold(delivery)
        return None if delivery.cancelled else delivery

    def __aiter__(self) -> Self:
        """Take messages until the queue is shut down and finished; each is yours to settle."""
        return self

    async def __anext__(self) -> Delivery[T]:
        try:
            return await self.get()
        except QueueShutDown:
            raise StopAsyncIteration from None


def participant_of(queue: Queue[Any]) -> QueueParticipant:
    """What this process has at a queue."""
    return queue._participant  # noqa: SLF001  # users never get it
