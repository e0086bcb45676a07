"""Nothing is seen of staged puts before their acknowledgement, and nothing is left when it does not come."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import ConcurrencyError, EffectRefused, Queue, Session, StaleDelivery
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.folds import FOLDS, MANY, nothing_staged, staged_by_hand, stages, taken, waits, with_puts
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until


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
                await until(lambda: client.hlen(inside.member_at(second).keys["bodies"]), lambda count: count == FOLDS)
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
        assert await client.hlen(inside.member_at(second).keys["bodies"]) == 1
        assert await waits(second) == (0, 0, 0)
    await nothing_staged(client, second)
    assert await client.hget(inside.member_at(second).keys["totals"], "folded") == b"0"


async def test_a_call_that_stages_and_comes_late_takes_nothing_out(
    url: str, session: Session, client: Any, name: str
) -> None:
    """What is in the line by then does not go with the session."""
    async with Session.open(url) as gone:
        first, second = stages(gone, name, maxsize=1)
        await (await with_puts(first, second)).ack()
        places = await client.lrange(inside.member_at(second).keys["putters"], 0, -1)
        last = places[-1]
        assert last.startswith(b"*")
        assert await staged_by_hand(second, last, 3) == 1
    await nothing_staged(client, second)
    assert await taken(Queue(session, second.name, int), MANY) == list(range(MANY))


@pytest.mark.slow
@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
@pytest.mark.parametrize("step, nth", [("stage", 1), ("stage", FOLDS), ("settle_with_effects", 1), ("let_in", 1)])
async def test_a_connection_that_breaks_changes_nothing(
    url: str, tmp_path: Path, client: Any, name: str, *, step: str, nth: int, fate: Fate
) -> None:
    async with Proxy(url, tmp_path) as proxy, Session.open(proxy.url) as session:
        first, second = stages(session, name)
        delivery = await with_puts(first, second)
        met = proxy.drop_nth(nth, fate, lambda command: command.name == step)
        async with asyncio.timeout(100):
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
            await until(lambda: client.hlen(inside.member_at(second).keys["bodies"]), bool)
            keys = inside.member_at(second).keys
            await client.eval(
                "redis.call('DEL', KEYS[1]) redis.call('HDEL', KEYS[2], ARGV[1]) redis.call('HDEL', KEYS[3], 'folded')",
                3, keys["bodies"], keys["lanes"], keys["totals"], f"{inside.session_id_at(second)}:staged",
            )  # fmt: skip
        await acking
        assert proxy.count("settle_with_effects") == 2
        assert await waits(second) == (MANY, 0, 0)
        await nothing_staged(client, second)


async def test_while_memory_is_full_they_wait_and_go_in_once(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        first, second = stages(session, name)
        delivery = await with_puts(first, second)
        await client.config_set("maxmemory", 1)
        acking = asyncio.create_task(delivery.ack())
        lane = inside.effect_lane_at(first)
        await until(lambda: asyncio.sleep(0, inside.waits_for_memory(lane)), bool)
        assert await waits(second) == (0, 0, 0)
        await client.config_set("maxmemory", 0)
        async with asyncio.timeout(40):
            await acking
        await until(lambda: waits(second), lambda seen: seen == (MANY, 0, 0))
        await nothing_staged(client, second)


async def test_a_session_that_ends_while_memory_is_full_leaves_nothing(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        async with Session.open(server.url, ttl=2.0) as ending:
            first, second = stages(ending, name)
            delivery = await with_puts(first, second)
            await staged_by_hand(second, b"*aaaaaaaaaaa0000000001", 3)
            await client.config_set("maxmemory", 1)
            acking = asyncio.create_task(delivery.ack())
            lane = inside.effect_lane_at(first)
            await until(lambda: asyncio.sleep(0, inside.waits_for_memory(lane)), bool)
        with pytest.raises(ConcurrencyError, match="closed"):
            await acking
        assert await waits(Queue(session, second.name, int)) == (0, 0, 0)
        await client.config_set("maxmemory", 0)  # Redis 7.0 refuses to look in a transaction before
        await nothing_staged(client, second)
        await (await Queue(session, name, int).get()).ack()


async def test_a_key_of_the_other_queue_that_is_spoilt_refuses_all(session: Session, client: Any, name: str) -> None:
    first, second = stages(session, name)
    delivery = await with_puts(first, second)
    await client.set(inside.member_at(second).keys["bodies"], "spoilt")
    with pytest.raises(EffectRefused, match="not ours"):
        await delivery.ack()
    await client.delete(inside.member_at(second).keys["bodies"])
    assert inside.is_held(delivery)
    await delivery.ack()
    await until(lambda: waits(second), lambda seen: seen == (MANY, 0, 0))
    await nothing_staged(client, second)


async def test_a_queue_that_is_shut_down_refuses_all(session: Session, client: Any, name: str) -> None:
    first, second = stages(session, name)
    delivery = await with_puts(first, second)
    await second.shutdown()
    with pytest.raises(EffectRefused, match="shut down"):
        await delivery.ack()
    await nothing_staged(client, second)
    assert await client.hlen(inside.member_at(second).keys["bodies"]) == 0
    await delivery.nack()
