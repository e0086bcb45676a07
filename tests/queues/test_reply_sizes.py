"""A reply carries 4 MiB at most, or one message: a server drops a subscriber whose replies pass its limit."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Selection, Session
from shared.concurrency.queues.deliveries.handout import handout_of
from tests.instruments import inside

MIB = 1 << 20
MOST = 4 * MIB
LARGE = 1 << 24
USUAL = "x" * 262_100
"""As large as a message may be where nobody says otherwise."""


@pytest.fixture
async def large(session: Session, name: str) -> Queue[str]:
    """A queue that takes the largest messages."""
    return Queue(session, name, str, max_message_bytes=LARGE)


async def sizes_taken(queue: Queue[str], wanted: int) -> list[list[int]]:
    """Take all there is in calls by hand; the sizes of the entries that each reply carried."""
    replies: list[list[int]] = []
    while entries := (await inside.take_unheard(queue, wanted))[3]:
        replies.append([len(entry) for entry in entries])
    return replies


def check(replies: list[list[int]], messages: int) -> None:
    assert sum(map(len, replies)) == messages
    for sizes in replies:
        assert sum(sizes) <= MOST or len(sizes) == 1, (len(sizes), sum(sizes))


async def put_new(queue: Queue[str], items: list[str]) -> None:
    await queue.put_many(items)


async def give_back(queue: Queue[str], items: list[str]) -> None:
    await settle(queue, items, "return")


async def delay(queue: Queue[str], items: list[str]) -> None:
    await settle(queue, items, "nack", 1)
    await asyncio.sleep(0.002)


async def settle(queue: Queue[str], items: list[str], kind: str, value: int = 0) -> None:
    await queue.put_many(items)
    held = [handout_of(await queue.get()) for _ in items]
    await asyncio.gather(*(each.settled(kind, value) for each in held))


MIXED = ["small"] * 16 + [USUAL] * 40
GROWING = ["x" * int(size * MIB) for size in (0, 1, 2, 0.9, 5, 0.9, 3.5, 3)]


@pytest.mark.parametrize("fill", [put_new, give_back, delay])
@pytest.mark.parametrize("items", [MIXED, GROWING], ids=["mixed", "growing"])
async def test_a_take_carries_4_mib_or_one_message(
    large: Queue[str], other: Session, name: str, *, fill: Any, items: list[str]
) -> None:
    await fill(large, items)
    taking = Queue(other, name, str, max_message_bytes=LARGE)
    await taking.statistics()
    check(await sizes_taken(taking, 200), len(items))


async def test_a_suspect_travels_alone_where_it_is_large(
    url: str, large: Queue[str], session: Session, client: Redis, name: str
) -> None:
    await large.put("x" * 5 * MIB)
    for _ in range(2):
        async with Session.open(url) as dying:
            held = await Queue(dying, name, str, max_message_bytes=LARGE).get()
            await inside.crash(client, session, name, dying)
            assert inside.is_lost(held)
    await give_back(large, ["small"])
    await large.put_many([USUAL] * 3)
    async with Session.open(url) as taking:
        queue = Queue(taking, name, str, max_message_bytes=LARGE)
        await queue.statistics()
        check(await sizes_taken(queue, 200), 5)


async def test_150_of_256_kb_are_handled(session: Session, other: Session, name: str) -> None:
    # The server closed the connection, all was given back, and the next take was the same.
    await Queue(session, name, str).put_many(["small"] * 16 + [USUAL] * 150)
    queue: Queue[str] = Queue(other, name, str)

    async def handle(delivery: Delivery[str]) -> None:
        # Once in a while as one that fails: what is delayed comes in one reply too.
        if delivery.attempt == 1:
            await delivery.nack(delay=0.2)

    worker = Worker(queue, handle, concurrency=200)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(100):
        await queue.join()
    worker.drain()
    await running
    statistics = await queue.statistics()
    assert (statistics.acked_total, statistics.nacked_total) == (166, 166)


async def test_a_page_of_dead_letters_carries_4_mib_or_one_letter(large: Queue[str]) -> None:
    await large.put_many(GROWING)
    for _ in GROWING:
        await (await large.get()).dead_letter("a test")
    place, upto, replies = b"", b"", []
    while True:
        place, upto, *page = await inside.ask_at(large, "letters", b"", 0, place, upto, 500, 1, "", "", "")
        replies.append([len(letter) for letter in page[1::2]])
        if not place:
            break
    check(replies, len(GROWING))
    found = [letter async for letter in large.letters.find(Selection())]
    assert [len(letter.body) for letter in found] == [len(item) + 2 for item in GROWING]


async def test_an_answer_carries_4_mib_of_results_or_one(large: Queue[str], other: Session, name: str) -> None:
    there = Queue(other, name, str, max_message_bytes=LARGE)
    futures = [await large.submit(str(number)) for number in range(len(GROWING))]
    inside.forget_results(large)  # nobody tells the server that they were received
    for item in GROWING:
        await (await there.get()).ack(item)
    keys = [future.id.encode() for future in futures]
    replies = []
    while keys:
        looked, found, _ = await inside.ask_at(large, "results", b"", b"", b"".join(keys))
        replies.append([len(outcome) for outcome in found[1::2]])
        keys = keys[looked:]
    check(replies, len(GROWING))
