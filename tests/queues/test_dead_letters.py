"""Dead letters, many of them: found, put back and deleted a page at a time, each in one place at any moment."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
from pydantic import BaseModel
from redis.asyncio import Redis

from shared.concurrency import Queue, QueueEmpty, Selection, Session
from shared.concurrency.session.log import LogLine
from tests.instruments import inside, programs
from tests.instruments.census import take_census
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import resolved

MANY: Final = 1200
"""More than two pages."""


@pytest.fixture
async def queue(url: str, name: str) -> AsyncIterator[Queue[int]]:
    async with Session.open(url) as session:
        yield Queue(session, name, int, max_attempts=1)


async def let_die(queue: Queue[int], count: int = MANY) -> None:
    """All of these numbers become dead letters (reason `shutdown`), in order."""
    await queue.put_many(range(count))
    await queue.shutdown(immediate=True)
    await queue.reopen()


async def bodies(queue: Queue[int], selection: Selection, limit: int | None = None) -> list[int]:
    return [int(letter.body) async for letter in queue.letters.find(selection, limit)]


async def take_all(queue: Queue[int]) -> list[int]:
    items = []
    for _ in range((await queue.statistics()).pending):
        async with await queue.get() as item:
            items.append(item)
    return items


async def bury_garbage(client: Redis, name: str, count: int) -> None:
    """Letters that hold no message, older than all others."""
    letters = {
        f"unreadable{number:012}": b'{"reason":"undecodable","error":"","died_ms":1}\n?' for number in range(count)
    }
    await resolved(client.hset(f"{{{name}}}:dead", mapping=letters))
    await client.zadd(f"{{{name}}}:dead:index", dict.fromkeys(letters, 1))


async def test_letters_are_found_by_id_key_class_and_reason(queue: Queue[int]) -> None:
    await queue.put(1, id="one")
    await (await queue.get()).dead_letter("unwanted")
    await queue.put(2)
    await (await queue.get()).nack()
    first, second = await queue.dead_letters()
    assert (first.id, second.id) == ("one", second.key)
    found = {
        "one": Selection(id="one"), "its key": Selection(id=first.key), "another": Selection(id=second.key),
        "its reason": Selection(reason="unwanted"), "both": Selection(id="one", reason="failed"),
        "nobody's": Selection(id="on"), "of no class": Selection(type="int"),
    }  # fmt: skip
    assert {word: await bodies(queue, selection) for word, selection in found.items()} == {
        "one": [1], "its key": [1], "another": [2], "its reason": [1], "both": [], "nobody's": [], "of no class": [],
    }  # fmt: skip
    assert await queue.letters.discard(Selection(reason="failed")) == 1
    assert await bodies(queue, Selection()) == [1]


class Order(BaseModel):
    number: int


async def test_a_class_is_found_by_its_name(url: str, name: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, Order)
        await queue.put(Order(number=7))
        await (await queue.get()).dead_letter("unwanted")
        assert [letter.type async for letter in queue.letters.find(Selection(type="Order"))] == ["Order"]
        assert [letter async for letter in queue.letters.find(Selection(type="order"))] == []


async def test_many_letters_come_in_order_and_once_though_they_died_in_one_millisecond(
    queue: Queue[int], client: Redis
) -> None:
    await let_die(queue)
    keys = await client.zrange(f"{{{queue.name}}}:dead:index", 0, -1)
    await client.zadd(f"{{{queue.name}}}:dead:index", dict.fromkeys(keys, 1000))
    assert await bodies(queue, Selection()) == list(range(MANY))
    assert await bodies(queue, Selection(), 501) == list(range(501))
    assert await bodies(queue, Selection(reason="shutdown"), 7) == list(range(7))


async def test_letters_that_go_while_one_reads_hide_no_others(queue: Queue[int]) -> None:
    await let_die(queue)
    seen = []
    async for letter in queue.letters.find(Selection()):
        seen.append(int(letter.body))
        if len(seen) % 300 == 0:
            assert await queue.discard([letter.key]) == 1
    assert seen == list(range(MANY))


async def test_a_large_letter_does_not_end_the_page_for_good(url: str, name: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, str, max_message_bytes=1 << 22)
        texts = ["x" * 10, "y" * (1 << 21), "z" * (1 << 20), "w"]
        await queue.put_many(texts)
        await queue.shutdown(immediate=True)
        assert [letter.body.decode()[1:-1] async for letter in queue.letters.find(Selection())] == texts


async def test_replay_goes_on_behind_pages_that_can_not_be_read(queue: Queue[int], client: Redis) -> None:
    await let_die(queue, 5)
    await bury_garbage(client, queue.name, 1001)
    outcome = await queue.letters.replay(Selection())
    assert (outcome.replayed, outcome.unreadable, outcome.stayed) == (5, 1001, 1001)
    assert await take_all(queue) == list(range(5))
    assert await queue.letters.discard(Selection(reason="undecodable")) == 1001


async def test_what_has_no_room_stays_the_youngest_and_is_counted(queue: Queue[int]) -> None:
    await let_die(queue)
    await queue.resize(700)
    outcome = await queue.letters.replay(Selection())
    assert (outcome.replayed, outcome.no_room, outcome.stayed) == (700, MANY - 700, MANY - 700)
    assert await take_all(queue) == list(range(700))
    assert await queue.replay() == MANY - 700
    assert await take_all(queue) == list(range(700, MANY))


async def test_nothing_is_replayed_into_a_queue_that_is_shut_down(queue: Queue[int]) -> None:
    await let_die(queue)
    await queue.shutdown()
    outcome = await queue.letters.replay(Selection())
    assert (outcome.replayed, outcome.shut_down, outcome.stayed) == (0, MANY, MANY)


async def test_replay_ends_though_what_it_puts_back_dies_again_at_once(queue: Queue[int]) -> None:
    await let_die(queue)
    outcome, again = asyncio.create_task(queue.letters.replay(Selection())), 0
    while again < MANY:
        delivery = await queue.get()
        await delivery.nack()
        again += 1
    assert (await outcome).replayed == MANY
    assert (await queue.statistics()).dead == MANY


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
@pytest.mark.parametrize("step", ["replay", "discard"])
async def test_the_count_is_right_though_an_answer_was_lost(
    proxy: Proxy, queue: Queue[int], *, step: str, fate: Fate, nth: int
) -> None:
    await let_die(queue)
    async with Session.open(proxy.url) as session:
        broken = Queue(session, queue.name, int)
        met = proxy.drop_nth(nth, fate, lambda command: command.name == step)
        assert await (broken.replay() if step == "replay" else broken.discard()) == MANY
        assert met.is_set()
    assert (await queue.statistics()).dead == 0
    assert await take_all(queue) == (list(range(MANY)) if step == "replay" else [])


async def test_a_request_that_runs_late_changes_nothing(queue: Queue[int]) -> None:
    await let_die(queue, 3)
    first, second, third = [letter.key for letter in await queue.dead_letters()]
    assert await queue.discard([first]) == 1
    assert await queue.discard([second]) == 1
    # The first one again, as if it had come over a connection that was given up.
    ours = inside.session_id_at(queue)
    assert await inside.ask_at(queue, "discard", ours, 1, third) == [0, 0]
    assert await inside.ask_at(queue, "replay", ours, 1, third) == [0, 0]
    assert await bodies(queue, Selection()) == [2]


async def test_a_letter_that_died_again_meanwhile_is_not_the_one_that_was_chosen(
    queue: Queue[int], client: Redis
) -> None:
    await let_die(queue, 1)
    [letter] = await queue.dead_letters()
    await client.zadd(f"{{{queue.name}}}:dead:index", {letter.key: 1000})
    [chosen] = [places async for places in queue.letters._pages(Selection())]
    assert await queue.replay() == 1
    await (await queue.get()).nack()
    assert await queue.letters._operate("discard", *chosen) == [0, 1]
    assert (await queue.statistics()).dead == 1


async def test_the_age_of_the_oldest_letter_is_told_by_the_server_s_clock(queue: Queue[int], client: Redis) -> None:
    assert (await queue.statistics()).oldest_dead_seconds == 0.0
    await let_die(queue, 2)
    assert (await queue.statistics()).oldest_dead_seconds < 10
    seconds, _ = await client.time()
    (oldest, _) = await client.zrange(f"{{{queue.name}}}:dead:index", 0, -1)
    await client.zadd(f"{{{queue.name}}}:dead:index", {oldest: (seconds - 3600) * 1000})
    assert 3600 <= (await queue.statistics()).oldest_dead_seconds < 3700
    await queue.discard()
    assert (await queue.statistics()).oldest_dead_seconds == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("executed", [True, False])
async def test_a_replay_that_is_killed_leaves_each_letter_in_one_place(
    proxy: Proxy, queue: Queue[int], client: Redis, *, executed: bool
) -> None:
    await let_die(queue)
    if executed:
        async with proxy.holding("replay") as hold, running(programs.replay, proxy.url, queue.name, 1.0) as process:
            await hold.arrived.wait()
            await process.kill()
    else:
        met = proxy.drop_nth(2, Fate.DROP_BEFORE, lambda command: command.name == "replay")
        async with running(programs.replay, proxy.url, queue.name, 1.0) as process:
            await met.wait()
            await process.kill()
    census = await take_census(client, queue.name)
    census.check()
    assert census.pending + census.dead == MANY
    assert await queue.replay() == census.dead
    assert await take_all(queue) == list(range(MANY))


async def test_every_death_is_a_line_at_error_that_says_of_what_and_why(
    session: Session, other: Session, client: Redis, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue, dying = Queue(session, name, int, max_attempts=1), Queue(other, name, int)
    await queue.put(1, id="one")
    await (await queue.get()).nack()
    await queue.put(2)
    await (await queue.get()).dead_letter("unwanted")
    await queue.put(3, id="three")
    for _ in range(5):
        async with asyncio.timeout(5):
            delivery = await dying.get()
        await inside.crash(client, session, name, other)
        assert not inside.is_held(delivery)
    await client.rpush(f"{{{name}}}:pending", b"rubbish")  # type: ignore[misc]
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()
    await queue.put(4)
    await queue.shutdown(immediate=True)  # an operator's wish
    told = [
        (record.levelname, str(record.msg.fields["id"])[:10], record.msg.fields["reason"])
        for record in caplog.records
        if isinstance(record.msg, LogLine) and record.msg.text == "the message is a dead letter"
    ]
    assert told == [
        ("ERROR", "one", "failed"),
        ("ERROR", inside.owner_of(session)[:10], "unwanted"),
        ("ERROR", "three", "crashed"),
        ("ERROR", "unreadable", "undecodable"),
    ]
    assert (await queue.statistics()).dead == 5
