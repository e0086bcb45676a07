"""Very many puts with one acknowledgement: they are staged before, and count from it on, all or none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Delivery, Queue, Session, StaleDelivery
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.census import take_census
from tests.instruments.proxy import Proxy
from tests.instruments.server_time import GENEROUS, timed
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

MANY = 2300
FOLDS = 5


def stages(session: Session, name: str, maxsize: int = 0) -> tuple[Queue[int], Queue[int]]:
    return Queue(session, name, int), Queue(session, f"{name}-2", int, maxsize=maxsize)


async def with_puts(first: Queue[int], second: Queue[int], count: int = MANY) -> Delivery[int]:
    """A delivery that forwards the numbers from 0 on."""
    await second.statistics()
    await first.put(1)
    delivery = await first.get()
    for number in range(count):
        delivery.effects.put(second, number)
    return delivery


async def taken(queue: Queue[int], count: int) -> list[int]:
    items = []
    async with asyncio.timeout(20):
        for _ in range(count):
            async with await queue.get() as item:
                items.append(item)
    return items


async def nothing_staged(client: Any, queue: Queue[int]) -> None:
    """The line and its bodies are those of the puts that wait, and nobody has anything staged."""
    (await take_census(client, queue.name)).check()
    lanes = await client.hkeys(f"{{{queue.name}}}:lanes")
    assert not [lane for lane in lanes if lane.endswith(b":staged")]


async def waits(queue: Queue[int]) -> tuple[int, int, int]:
    seen = await queue.statistics()
    return seen.pending, seen.puts_waiting, seen.forwards_waiting


async def test_they_go_in_in_their_order(session: Session, client: Any, name: str) -> None:
    first, second = stages(session, name)
    await second.put(-1)
    delivery = await with_puts(first, second)
    await delivery.ack()
    seen = await second.statistics()
    assert (seen.pending + seen.puts_waiting, seen.put_total) == (MANY + 1, MANY + 1)
    await second.put(-2)
    assert await taken(second, MANY + 2) == [-1, *range(MANY), -2]
    await nothing_staged(client, second)
    assert await waits(second) == (0, 0, 0)


async def test_what_has_room_goes_in_though_nobody_takes(session: Session, client: Any, name: str) -> None:
    first, second = stages(session, name)
    await (await with_puts(first, second)).ack()
    await until(lambda: waits(second), lambda seen: seen == (MANY, 0, 0))
    await nothing_staged(client, second)


async def test_the_bound_holds_and_they_go_in_in_their_turn(
    session: Session, other: Session, client: Any, name: str
) -> None:
    first, second = stages(session, name, maxsize=700)
    theirs = Queue(other, second.name, int)
    await (await with_puts(first, second)).ack()
    await until(lambda: waits(second), lambda seen: seen == (700, MANY - 700, MANY - 700))
    (await take_census(client, second.name)).check()
    behind = asyncio.create_task(theirs.put(-1))
    assert await taken(theirs, MANY + 1) == [*range(MANY), -1]
    await behind
    await nothing_staged(client, second)


async def test_who_waits_there_is_woken(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name)
    theirs = Queue(other, second.name, int)
    getting = asyncio.create_task(taken(theirs, 3))
    delivery = await with_puts(first, second)
    await until(lambda: asyncio.sleep(0, inside.is_idle(other, second.name)), bool)
    async with asyncio.timeout(0.9):  # the look once a second would find it, too
        await delivery.ack()
        assert await getting == [0, 1, 2]


async def test_nothing_more_is_taken_while_they_wait(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name, maxsize=1)
    theirs = Queue(other, second.name, int)
    await (await with_puts(first, second)).ack()
    assert inside.is_backpressured(first)
    assert await taken(theirs, MANY - 2) == list(range(MANY - 2))
    await until(lambda: asyncio.sleep(0, inside.is_backpressured(first)), lambda is_on: not is_on)
    assert len(await taken(theirs, 2)) == 2


async def test_a_notice_that_is_lost_is_made_up_for(session: Session, other: Session, name: str) -> None:
    first, second = stages(session, name, maxsize=1)
    theirs = Queue(other, second.name, int)
    await (await with_puts(first, second)).ack()
    inside.forget_forwards(second)  # as if nobody had told us
    assert await taken(theirs, MANY) == list(range(MANY))
    await first.put(5)
    assert await taken(first, 1) == [5]


async def test_of_a_stale_delivery_nothing_is_left(session: Session, other: Session, client: Any, name: str) -> None:
    first, second = stages(session, name)
    await Queue(other, name, int).statistics()
    delivery = await with_puts(first, second)
    await inside.end_session(client, session, name)
    await inside.recover(other, name, inside.session_id_at(first))
    with pytest.raises(StaleDelivery):
        await delivery.ack()
    assert await waits(second) == (0, 0, 0)
    await nothing_staged(client, second)


async def test_of_a_process_that_dies_before_its_acknowledgement_nothing_is_left(
    url: str, tmp_path: Path, other: Session, client: Any, name: str
) -> None:
    """Nobody sees what it has staged; who takes what it held also forgets that."""
    theirs = Queue(other, f"{name}-2", int)
    await theirs.statistics()
    async with Proxy(url, tmp_path) as proxy, Session.open(proxy.url) as session:
        first, second = stages(session, name)
        delivery = await with_puts(first, second)
        with pytest.raises(StaleDelivery):
            async with proxy.holding("settle_with_effects") as hold:
                proxy.judge = lambda command: Fate.DROP_BEFORE if command.name == "settle_with_effects" else Fate.PASS
                acking = asyncio.create_task(delivery.ack())
                await until(lambda: client.hlen(f"{{{second.name}}}:bodies"), lambda count: count == FOLDS)
                assert await waits(theirs) == (0, 0, 0)
                for queue in (first, second):
                    await inside.end_session(client, session, queue.name)
                await inside.recover(other, second.name, inside.session_id_at(second))
                await nothing_staged(client, second)
                assert await waits(theirs) == (0, 0, 0)
                proxy.judge = lambda _: Fate.PASS
                assert not hold.arrived.is_set()
            await acking
    assert await waits(theirs) == (0, 0, 0)
    await nothing_staged(client, second)


async def test_what_is_staged_goes_with_a_session_that_ends(url: str, client: Any, name: str) -> None:
    async with Session.open(url) as session:
        _, second = stages(session, name)
        await second.statistics()
        await staged_by_hand(second, b"*aaaaaaaaaaa0000000001", 3)
        assert await client.hlen(f"{{{second.name}}}:bodies") == 1
        assert await waits(second) == (0, 0, 0)
    await nothing_staged(client, second)
    assert await client.hget(f"{{{second.name}}}:totals", "folded") == b"0"


async def staged_by_hand(queue: Queue[int], fold: bytes, count: int) -> Any:
    entries = [b"+aaaaaaaaaaa%010d0000000000.000%d" % (number, number) for number in range(count)]
    return await inside.ask_at(queue, "stage", inside.session_id_at(queue), fold, *entries)


async def test_a_call_that_stages_and_comes_late_takes_nothing_out(
    url: str, session: Session, client: Any, name: str
) -> None:
    """What is in the line by then does not go with the session."""
    async with Session.open(url) as gone:
        first, second = stages(gone, name, maxsize=1)
        await (await with_puts(first, second)).ack()
        places = await client.lrange(f"{{{second.name}}}:line", 0, -1)
        last = places[-1]
        assert last.startswith(b"*")
        assert await staged_by_hand(second, last, 3) == 1
    await nothing_staged(client, second)
    assert await taken(Queue(session, second.name, int), MANY) == list(range(MANY))


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
@pytest.mark.parametrize("step, nth", [("stage", 1), ("stage", FOLDS), ("settle_with_effects", 1), ("let_in", 1)])
async def test_a_connection_that_breaks_changes_nothing(
    url: str, tmp_path: Path, client: Any, name: str, *, step: str, nth: int, fate: Fate
) -> None:
    async with Proxy(url, tmp_path) as proxy, Session.open(proxy.url) as session:
        first, second = stages(session, name)
        delivery = await with_puts(first, second)
        met = proxy.drop_nth(nth, fate, lambda command: command.name == step)
        async with asyncio.timeout(20):
            await delivery.ack()
            await met.wait()
            await until(lambda: waits(second), lambda seen: seen == (MANY, 0, 0))
            assert await taken(second, MANY) == list(range(MANY))
        await nothing_staged(client, second)
        assert (await first.statistics()).acked_total == 1


async def test_what_the_server_has_lost_meanwhile_goes_in_one_call(
    url: str, tmp_path: Path, client: Any, name: str
) -> None:
    async with Proxy(url, tmp_path) as proxy, Session.open(proxy.url) as session:
        first, second = stages(session, name)
        delivery = await with_puts(first, second)
        async with proxy.holding("stage"):
            acking = asyncio.create_task(delivery.ack())
            await until(lambda: client.hlen(f"{{{second.name}}}:bodies"), bool)
            keys = inside.member_at(second).keys
            await client.eval(
                "redis.call('DEL', KEYS[1]) redis.call('HDEL', KEYS[2], ARGV[1]) redis.call('HDEL', KEYS[3], 'folded')",
                3, keys["bodies"], keys["lanes"], keys["totals"], f"{inside.session_id_at(second)}:staged",
            )  # fmt: skip
        await acking
        assert proxy.count("settle_with_effects") == 2
        assert await waits(second) == (MANY, 0, 0)
        await nothing_staged(client, second)


async def test_a_shutdown_lets_them_in_and_one_at_once_makes_dead_letters(
    session: Session, client: Any, name: str
) -> None:
    first, second = stages(session, name, maxsize=700)
    await (await with_puts(first, second)).ack()
    await second.shutdown()
    (await take_census(client, second.name)).check()
    assert await taken(second, 1000) == list(range(1000))
    await second.shutdown(immediate=True)
    assert await waits(second) == (0, 0, 0)
    assert (await second.statistics()).dead == MANY - 1000
    await nothing_staged(client, second)
    assert await client.hget(f"{{{second.name}}}:totals", "folded") == b"0"


async def test_small_acknowledgements_are_one_call(url: str, tmp_path: Path, name: str) -> None:
    async with Proxy(url, tmp_path) as proxy, Session.open(proxy.url) as session:
        first, second = stages(session, name)
        await (await with_puts(first, second, 1000)).ack()
        assert (proxy.count("stage"), proxy.count("let_in"), proxy.count("settle_with_effects")) == (0, 0, 1)
        assert await waits(second) == (1000, 0, 0)


@pytest.mark.parametrize("maxsize", [0, 100])
async def test_45_000_hold_the_server_for_milliseconds(server: EmbeddedServer, maxsize: int) -> None:
    async with (
        Redis.from_url(server.url, protocol=3) as client,
        Session.open(server.url, ttl=60) as session,
    ):
        first, second = stages(session, "jobs", maxsize)
        delivery = await with_puts(first, second, 45_000)
        async with timed(client) as calls:
            await delivery.ack()
            room = maxsize or 45_000
            await until(lambda: waits(second), lambda seen: seen == (room, 45_000 - room, 45_000 - room))
        assert calls.worst < GENEROUS
        await nothing_staged(client, second)
