"""Queue: asyncio.Queue across processes."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, Self, TypeVar, overload

from shared.concurrency.errors import QueueShutDown
from shared.concurrency.queues.dead_letters import DeadLetter, DeadLetters, Selection
from shared.concurrency.queues.delivery import Delivery, Forgettable
from shared.concurrency.queues.effects.forwards import Destination
from shared.concurrency.queues.encoding.codec import Codec, Unreadable, digest
from shared.concurrency.queues.encoding.entry import FIELD, pack_headers, pack_middle
from shared.concurrency.queues.encoding.results import ResultCodec
from shared.concurrency.queues.handout import Handout
from shared.concurrency.queues.participant import QueueParticipant
from shared.concurrency.queues.prefetch import Prefetch
from shared.concurrency.queues.puts.batch import Batch, OutgoingEntry, portions
from shared.concurrency.queues.queue_session import QueueSession
from shared.concurrency.queues.results.future import ResultFuture
from shared.concurrency.queues.results.submitter import HasResult, Submitter
from shared.concurrency.queues.statistics import QueueStatistics
from shared.concurrency.session.names import full_name, leased_key
from shared.concurrency.session.scripts import load
from shared.concurrency.session.session import Session, process_of

T = TypeVar("T")
R = TypeVar("R")

_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_LARGEST_BOUND: Final = 10_000_000
_KEPT_FOR: Final = 3600.0


class Queue(Generic[T]):
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
        max_message_bytes: int = 262144,
        known_for: float = 3600.0,
        group: str | None = None,
        result: Any = None,
        results_for: float = _KEPT_FOR,
    ) -> None:
        """Prepare; the first call talks to the server.

        `type`: anything pydantic can validate; see Codec for classes that register their subclasses. `maxsize`: how
        many messages may be pending, 0 for no bound; stored with the queue by whoever sets it first, changed by
        `resize` only; None takes what is stored (no bound until then). `max_attempts`: failures until a message is a
        dead letter; stored likewise, 5 until then. `max_message_bytes`: of the encoded message. `known_for`: seconds
        for which `put(id=)` remembers an id. `group`: queues of one group share a hash slot, so that on a Cluster too an
        acknowledgement in one can put into another; the group belongs to the name: "a" in a group is another queue than "a".
        `result`: the type of what handlers return, where the message classes do not say it; None for any JSON value. `results_for`:
        seconds for which a result that has not been heard is kept for this process, 10 at least.

        :raises ValueError: when a name or a number is out of range.
        :raises ConcurrencyError: when the session is closed.
        """
        self.full_name: Final = full_name(name, group)
        self.name: Final = name
        _check_count("maxsize", maxsize, 0, _LARGEST_BOUND)
        _check_count("max_attempts", max_attempts, 1, 999)
        _check_count("max_message_bytes", max_message_bytes, 1, 1 << 26)
        if isinstance(known_for, bool) or not 0 < known_for <= 366 * 86400:
            raise ValueError(f"known_for is between 0 and a year, in seconds, not {known_for!r}")
        if isinstance(results_for, bool) or not 10 <= results_for <= 366 * 86400:
            raise ValueError(f"results_for is between 10 seconds and a year, in seconds, not {results_for!r}")
        self._process = process_of(session)
        self._codec: Codec[T] = Codec(type, max_message_bytes)
        self._known_ms = max(1, round(known_for * 1000))
        self._kept: dict[str, str | int] = {} if results_for == _KEPT_FOR else {"results_ms": round(results_for * 1000)}
        self._asking: dict[str | None, bytes] = {}
        self._results = ResultCodec(result, max_message_bytes)
        self._lanes = self._process.part(QueueParticipant, self.full_name)
        self._submitter = Submitter(self._lanes.puts, self._lanes.results, self._results, results_for)
        self._lanes.member.wish(maxsize, max_attempts)

    # --- putting ----------------------------------------------------------------------------------------------------

    async def put(self, item: T, *, id: str | None = None) -> None:  # noqa: A002  # the public name
        """Put an item; waits while the queue is full, first come, first served among all processes.

        A put that returned is never lost. `id`: names the message; a known id with the same body is no new message
        (the put returns, nothing is added), so repeating a put that failed is safe. Cancelled while it waits, it is
        withdrawn, which takes half a second at most; it is not in the queue then, unless it had been let in already
        or the server was out of reach.

        :raises QueueShutDown: when the queue is shut down, or is while this put waits.
        :raises IdConflict: when the id is known with another body.
        :raises MessageTooLarge: when the encoded item is larger than `max_message_bytes`; nothing was sent.
        :raises ValueError: when the item would not come back the same; nothing was sent. TypeError for another type.
        """
        await self._put(item, id, may_wait=True)

    async def put_nowait(self, item: T, *, id: str | None = None) -> None:  # noqa: A002
        """Put an item if there is room now and nobody waits in line; waits for the server's answer only.

        :raises QueueFull: (an asyncio.QueueFull) when `put` would wait. Otherwise as `put`.
        """
        await self._put(item, id, may_wait=False)

    async def _put(self, item: T, id_: str | None, *, may_wait: bool) -> None:
        self._process.check_open()
        lane = self._lanes.puts
        batch = lane.submit([self._entry(item, id_)], may_wait=may_wait)
        try:
            await batch.done
        except asyncio.CancelledError:
            await lane.withdraw_cancelled(batch)
            raise

    async def put_many(self, items: Iterable[T]) -> None:
        """Put items in order, as room appears; one round trip for a few hundred of them.

        The iterable is read as the queue takes them. Cancelled, it withdraws those in line, and the CancelledError
        says how many went in. When an item is refused or the iterable raises, those before it go in first, and a note
        on the exception says how many.

        :raises QueueShutDown: as `put`. ValueError, TypeError, MessageTooLarge: as `put`.
        """
        self._process.check_open()
        lane = self._lanes.puts
        under_way: deque[Batch] = deque()
        count = 0
        try:
            try:
                for portion in portions(items, self._new_entry):
                    under_way.append(lane.submit(portion, may_wait=True))
                    if len(under_way) > 1:  # one portion is in line while the next one is made
                        count += await _first_admitted(under_way)
                    await _turn_the_loop()
            except Exception:
                # An item is refused or the iterable raised: those before it go in.
                await asyncio.gather(*(asyncio.shield(batch.done) for batch in under_way), return_exceptions=True)
                raise
            while under_way:
                count += await _first_admitted(under_way)
        except asyncio.CancelledError:
            await lane.withdraw(under_way)
            count += sum(batch.admitted for batch in under_way)
            raise asyncio.CancelledError(f"put_many was cancelled: {count} messages went in") from None
        except Exception as error:
            count += sum(batch.admitted for batch in under_way)
            error.add_note(f"put_many: {count} messages went in")
            raise

    @overload
    async def submit(
        self,
        item: HasResult[R],
        *,
        id: str | None = None,
        on_progress: Callable[[float, str], object] | None = None,
    ) -> ResultFuture[R]: ...
    @overload
    async def submit(
        self, item: T, *, id: str | None = None, on_progress: Callable[[float, str], object] | None = None
    ) -> ResultFuture[Any]: ...
    async def submit(
        self,
        item: Any,
        *,
        id: str | None = None,  # noqa: A002  # the public name
        on_progress: Callable[[float, str], object] | None = None,
    ) -> ResultFuture[Any]:
        """Put an item, as `put`, and return the future of its result: what the handler returned, or gave to `ack`.

        The message is in the queue then. The future belongs to this process: when that is killed the message is handled all the
        same, and nobody hears of the result. `on_progress` is called with what the handler says by `Delivery.progress`.

        `id`: a known id with the same body is no new message; the future is that of the message that was submitted first, whose
        result is kept as long as the id is known; it is heard of within a second.

        :raises IdConflict: as `put`; and when the message with this id was put without asking for its result.
        """
        self._process.check_open()
        return await self._submitter.submit(lambda: self._entry(item, id, is_asked=True), item, id, on_progress)

    def _entry(self, item: T, id_: str | None, *, is_asked: bool = False) -> OutgoingEntry:
        if id_ is not None and (not isinstance(id_, str) or not _ID.fullmatch(id_)):
            raise ValueError(f"an id is 1 to 128 printable ASCII characters without spaces, not {id_!r:.200}")
        if id_ is None and not is_asked:
            return self._new_entry(item)
        shape, body = self._codec.encode(item)
        headers = shape.headers | self._kept if is_asked else shape.headers
        if id_ is not None:
            headers = headers | {"id": id_, "digest": digest(shape.name, body), "known_ms": self._known_ms}
            middle = pack_middle(pack_headers(headers), has_id=True, is_asked=is_asked)
            return self._lanes.puts.entry(middle, body)
        if shape.name not in self._asking:
            self._asking[shape.name] = pack_middle(pack_headers(headers), has_id=False, is_asked=True)
        return self._lanes.puts.entry(self._asking[shape.name], body)

    def _new_entry(self, item: T) -> OutgoingEntry:
        shape, body = self._codec.encode(item)
        return self._lanes.puts.entry(shape.middle, body)

    def _forward(self, item: T) -> tuple[Destination, bytes]:
        """Encode an item for a put that travels with an acknowledgement (`Delivery.effects`).

        :raises ValueError, TypeError, MessageTooLarge: as `put`.
        """
        self._process.check_open()
        shape, body = self._codec.encode(item)
        return self._lanes.destination, self._lanes.destination.entry(shape.middle, body)

    # --- getting ----------------------------------------------------------------------------------------------------

    async def get(self) -> Delivery[T]:
        """Take the next message; waits while there is none. A cancelled get loses nothing.

        What cannot be read (undecodable, invalid, of an unknown class, too large) becomes a dead letter and is passed
        over.

        :raises QueueShutDown: when the queue is shut down and all its messages are done with.
        """
        return await self._get(may_wait=True)

    async def get_nowait(self) -> Delivery[T]:
        """Take the next message if there is one; waits for the server's answer only.

        :raises QueueEmpty: (an asyncio.QueueEmpty) when `get` would wait. QueueShutDown: as `get`.
        """
        return await self._get(may_wait=False)

    async def _get(self, *, may_wait: bool) -> Delivery[T]:
        self._process.check_open()
        lane, member = self._lanes.takes, self._lanes.member
        while True:
            entry = await lane.take(may_wait=may_wait)
            try:
                item = self._codec.open(entry)
            except Unreadable as error:
                lane.settle_unheard(entry[:FIELD], "dead", error.reason, error.report)
                continue
            handout = Handout(self._lanes.settler, entry, item, self._results)
            member.hold(handout)
            return Forgettable(handout)

    def __aiter__(self) -> Self:
        """Take messages until the queue is shut down and finished; each is yours to settle."""
        return self

    async def __anext__(self) -> Delivery[T]:
        try:
            return await self.get()
        except QueueShutDown:
            raise StopAsyncIteration from None

    def intake(self, workers: int) -> Prefetch[T]:
        """Take for so many workers, which settle without waiting; what the consumer service uses.

        :raises ConcurrencyError: when the session is closed.
        """
        self._process.check_open()
        return Prefetch(self._lanes.member, self._lanes.settler, self._codec, self._results, workers)

    # --- the queue as a whole ---------------------------------------------------------------------------------------

    async def _ask(self, step: str, *arguments: bytes | str | int) -> Any:
        self._process.check_open()
        member = self._lanes.member

        async def asked() -> Any:
            if not member.registered:
                await member.ready()
            return await member.call(load(step), *arguments)

        return await self._process.run(asked())

    async def qsize(self) -> int:
        """How many messages are pending: never delivered yet."""
        return (await self.statistics()).pending

    async def statistics(self) -> QueueStatistics:
        """Count the queue, in one round trip."""
        return QueueStatistics.from_reply(await self._ask("statistics"))

    async def join(self) -> None:
        """Wait until every message put so far, and while we wait, is acknowledged or a dead letter.

        While the queue is paused nothing is handed out, so this waits for `resume` too.
        """
        finished = self._lanes.finished
        while True:
            finished.clear()
            if await self._ask("join", self._lanes.member.session_id) <= 0:
                return
            # The script that finishes the last message tells us; once a second is insurance.
            try:
                async with asyncio.timeout(1.0):
                    await finished.wait()
            except TimeoutError:
                continue

    async def shutdown(self, immediate: bool = False) -> None:  # noqa: FBT001, FBT002  # asyncio's signature
        """Shut the queue down for all processes: puts raise QueueShutDown, waiting ones too; gets once all is done.

        `immediate`: what waits for delivery becomes dead letters (reason `shutdown`); nothing accepted is dropped.
        `reopen` ends it. A queue that is paused stays so: without `immediate` it is not done until `resume`.
        """
        while await self._ask("shutdown", int(immediate)) > 0:
            pass

    async def reopen(self) -> None:
        """End a shutdown; does nothing when there is none."""
        await self._ask("reopen")

    async def pause(self) -> None:
        """Hand out nothing, in any process, until `resume`; does nothing when the queue is paused already.

        Puts go in while there is room, and wait then. What is in consumers' hands is settled as ever, and recovered
        from the dead. `get` waits, `get_nowait` raises QueueEmpty.
        """
        await self._ask("pause")

    async def resume(self) -> None:
        """End a pause, and wake all who wait in `get`; does nothing when there is none."""
        await self._ask("resume")

    async def resize(self, maxsize: int) -> None:
        """Change the stored bound; 0 for none. After a shrink nothing enters until there is room.

        :raises ValueError: when it is out of range.
        """
        if maxsize is None:
            raise ValueError("maxsize is a whole number here; 0 is for no bound")
        _check_count("maxsize", maxsize, 0, _LARGEST_BOUND)
        await self._ask("resize", maxsize)

    # --- the processes at it ----------------------------------------------------------------------------------------

    async def sessions(self) -> list[QueueSession]:
        """The sessions of all processes at this queue, ours included; by owner. Not read in one step."""
        found = await self._ask("list_sessions")
        ids = [session_id.decode() for session_id in found[::4]]
        held = await asyncio.gather(*map(self._count_held, ids))
        return sorted(
            (
                QueueSession(
                    owner=session_id[:12],
                    held=count,
                    seconds_left=max(0, milliseconds) / 1000,
                    is_consumer=bool(is_consumer),
                    is_draining=bool(is_draining),
                )
                for session_id, count, milliseconds, is_consumer, is_draining in zip(
                    ids, held, found[1::4], found[2::4], found[3::4], strict=True
                )
            ),
            key=lambda session: session.owner,
        )

    async def _count_held(self, session_id: str) -> int:
        member = self._lanes.member
        keys = {**member.keys, "leased": leased_key(member.name, session_id)}
        count: int = await self._process.run(member.call(load("count_held"), session_id, keys=keys))
        return count

    async def drain(self, owner: str | None = None) -> list[str]:
        """Tell consumer services to drain: the one with this `Session.owner`, or all; returns the owners told.

        Each takes no more, finishes what it handles and ends, as at SIGTERM; this does not wait for it. Who cannot hear
        hears of it at its next renewal, a third of its time to live later. Other sessions (producers, whoever only
        calls `get`) are not told.
        """
        return [session_id[:12].decode() for session_id in await self._ask("drain", owner or "")]

    async def told_to_drain(self) -> None:
        """Wait until somebody tells this process to `drain`. For consumer services: from here on it can be told."""
        self._process.check_open()
        self._lanes.member.can_drain()
        await self._lanes.member.draining.wait()

    # --- dead letters -----------------------------------------------------------------------------------------------

    @property
    def letters(self) -> DeadLetters:
        """The dead letters, to be read, put back and deleted by id, class or reason, however many there are."""
        return DeadLetters(self._ask, self._lanes.letters, self._process.check_open)

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Read the oldest dead letters."""
        _check_count("limit", limit, 1, _LARGEST_BOUND)
        return [letter async for letter in self.letters.find(Selection(), limit)]

    async def replay(self, keys: Iterable[str] | None = None) -> int:
        """Put dead letters (default: all) back into the queue, their counts reset, as far as there is room.

        Returns how many went in; the others stay dead letters. `letters.replay` tells why.

        :raises QueueShutDown: when the queue is shut down.
        """
        outcome = await self.letters.replay(Selection() if keys is None else keys)
        if outcome.shut_down:
            raise QueueShutDown("the queue is shut down: reopen() it first")
        return outcome.replayed

    async def discard(self, keys: Iterable[str] | None = None) -> int:
        """Delete dead letters (default: all); returns how many."""
        return await self.letters.discard(Selection() if keys is None else keys)


async def _first_admitted(under_way: deque[Batch]) -> int:
    """Wait for the oldest batch, and take it off; how many of it went in."""
    await asyncio.shield(under_way[0].done)
    return under_way.popleft().admitted


async def _turn_the_loop() -> None:
    """Once for the lane to write and once for the loop to send: the server works while the next portion is made."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _check_count(word: str, value: int | None, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{word} is a whole number from {least} to {most}, not {value!r}")
