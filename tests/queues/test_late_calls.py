"""Calls that come late, come again or come from who is over, made by hand as only a broken connection brings them."""

from typing import Any

from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside


def outgoing(queue: Queue[int], sequence: int) -> bytes:
    """An entry as a call carries it: nobody has put it yet."""
    return b"%b%010d0000000000.0007" % (inside.owner_at(queue).encode(), sequence)


async def settle(
    queue: Queue[int], number: int, settle_number: int, *, held: int = -1, acks: bytes = b"", returns: bytes = b"",
    want: int = 0, session_id: str = "",
) -> list[Any]:  # fmt: skip
    """One call of the lane of takes."""
    answer: list[Any] = await inside.ask_at(
        queue, "settle_and_take", session_id or inside.session_id_at(queue), number, settle_number, held, acks, returns,
        0, b"", b"", want, 0, 0,
    )  # fmt: skip
    return answer


async def leased(queue: Queue[int], count: int) -> list[bytes]:
    """The receipts of so many messages, leased to the queue's session."""
    await queue.put_many(range(count))
    entries: list[bytes] = []
    number = 0
    while len(entries) < count:
        number += 1
        entries += (await settle(queue, number, 0, want=count))[3]
    return [entry[:45] for entry in entries]


async def test_a_put_that_comes_late_changes_nothing(queue: Queue[int]) -> None:
    for item in range(3):
        await queue.put(item)
    words = (inside.session_id_at(queue), 1, 1, 0, 0, b"", b"", b"", outgoing(queue, 9))
    assert await inside.ask_at(queue, "put", *words) == [b"late"]
    assert await queue.qsize() == 3


async def test_a_take_that_comes_late_takes_nothing(queue: Queue[int]) -> None:
    await queue.put(7)
    assert (await settle(queue, 5, 0))[0] == b"ok"
    for number in (4, 5):
        assert await settle(queue, number, 0, want=1) == [b"late"]
    seen = await queue.statistics()
    assert (seen.pending, seen.leased) == (1, 0)


async def test_a_settlement_that_is_repeated_is_answered_as_before(queue: Queue[int]) -> None:
    (receipt,) = await leased(queue, 1)
    for number in (10, 11):  # the taking half has a new number each time
        assert (await settle(queue, number, 1, acks=receipt))[:3:2] == [b"ok", b""]
    assert (await settle(queue, 12, 2, acks=receipt))[2] == receipt
    assert (await queue.statistics()).acked_total == 1


async def test_who_believes_to_hold_more_than_it_does_acknowledges_no_more(queue: Queue[int]) -> None:
    (receipt,) = await leased(queue, 1)
    foreign = receipt[:38] + b"0000009"
    assert (await settle(queue, 10, 1, held=2, acks=receipt + foreign))[2] == foreign
    assert (await queue.statistics()).acked_total == 1


async def test_each_delivery_has_a_receipt_of_its_own(queue: Queue[int]) -> None:
    (first,) = await leased(queue, 1)
    await settle(queue, 10, 1, returns=first)
    (entry,) = (await settle(queue, 11, 1, want=1))[3]
    assert entry[:38] == first[:38]
    assert (await settle(queue, 12, 2, acks=first))[2] == first  # that was the delivery before
    assert (await settle(queue, 13, 3, acks=entry[:45]))[2] == b""


async def test_one_call_gives_back_more_than_it_moves_at_a_time(queue: Queue[int]) -> None:
    receipts = await leased(queue, 1100)
    assert (await settle(queue, 100, 1, returns=b"".join(receipts)))[2] == b""
    seen = await queue.statistics()
    assert (seen.delayed, seen.leased) == (1100, 0)
    again = (await settle(queue, 101, 1, want=1000))[3]
    assert [entry[:38] for entry in again] == [receipt[:38] for receipt in receipts[:1000]]


async def test_a_session_that_passed_its_deadline_settles_and_takes_nothing(
    queue: Queue[int], other: Session, client: Redis, name: str
) -> None:
    theirs = Queue(other, name, int)
    (receipt,) = await leased(theirs, 1)
    over = inside.session_id_at(theirs)
    await client.zadd(queue_keys(name)["sessions"], {over: 1})  # and nobody has recovered it yet
    await queue.put(8)
    state, _, refused, entries, *_ = await settle(theirs, 100, 1, acks=receipt, want=1, session_id=over)
    assert (state, refused, entries) == (b"over", b"all", [])
    seen = await queue.statistics()
    assert (seen.acked_total, seen.pending) == (0, 1)
