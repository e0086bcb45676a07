"""A master is killed, or stops, and its replica takes over: what was replicated is there, and sessions go on."""

import asyncio
import os
import secrets
import signal
import time

import pytest
from redis.crc import key_slot

from shared.concurrency import Lock, Queue, Session
from tests.instruments.carrying import Carrier
from tests.instruments.inside import renew_now
from tests.instruments.nodes import Nodes
from tests.instruments.waiting import until

pytestmark = pytest.mark.slow

UNREPLICATED = 0.5
"""Seconds before a kill within which what was answered may not have reached the replica, on a busy machine."""
LONGEST_STANDSTILL = 30.0
"""What the Cluster needs to elect is three seconds here, with a node timeout of one."""


def name_at(nodes: Nodes, number: int) -> str:
    return nodes.name_at(number, tag=f"f-{secrets.token_hex(4)}")


async def until_owned_by_another(nodes: Nodes, slot: int, number: int) -> int:
    """Wait until a replica has taken over; its number."""
    asked = next(other for other in range(nodes.masters) if other != number)
    return await until(lambda: asyncio.to_thread(nodes.owner, slot, asked), lambda owner: owner != number, 60)


async def test_a_master_that_is_killed(replicated: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    nodes = replicated
    names = [name_at(nodes, number) for number in range(3)]
    slot = key_slot(names[0].encode())
    kills: list[float] = []
    async with (
        Session.open(nodes.url) as producer,
        Session.open(nodes.url) as consumer,
        Carrier(producer, consumer, names).work() as carried,
    ):
        for name in names:
            await carried.goes_on(name)
        owner = 0
        for _ in range(2):
            nodes.servers[owner].kill()
            kills.append(time.monotonic())
            killed, owner = owner, await until_owned_by_another(nodes, slot, owner)
            await carried.goes_on(names[0])
            await asyncio.to_thread(nodes.servers[killed].start)
            await asyncio.to_thread(nodes.until_well)
            await asyncio.to_thread(nodes.until_linked, killed)
    lost = carried.put - carried.got
    for name, number in lost:
        at = carried.put_at[name, number]
        assert name == names[0], (name, number)
        assert any(kill - UNREPLICATED < at <= kill for kill in kills), (name, number)
    assert carried.standstill[names[0]] < LONGEST_STANDSTILL
    assert max(carried.standstill[name] for name in names[1:]) < 5, "the others go on undisturbed"
    assert "the session passed its deadline" not in caplog.text


async def test_what_was_replicated_is_there_after_a_kill(replicated: Nodes) -> None:
    nodes = replicated
    name = name_at(nodes, 0)
    slot = key_slot(name.encode())
    async with Session.open(nodes.url) as producer, Session.open(nodes.url) as consumer:
        putting, getting = Queue(producer, name, int), Queue(consumer, name, int)
        await putting.put_many(range(500))
        held = [await getting.get() for _ in range(100)]
        async with Lock(producer, name) as lease:
            await until_replicated(nodes, 0)
            nodes.servers[0].kill()
            await until_owned_by_another(nodes, slot, 0)
            async with asyncio.timeout(60):
                for delivery in held:
                    await delivery.ack()
                rest = [await getting.get() for _ in range(400)]
                for delivery in rest:
                    await delivery.ack()
            assert [delivery.item for delivery in held + rest] == list(range(500))
            assert {delivery.attempt for delivery in held + rest} == {1}
            lease.check()


async def test_a_master_that_stops_and_comes_back(replicated: Nodes) -> None:
    """It says nothing, and then it is a replica of the one that took over."""
    nodes = replicated
    names = [name_at(nodes, number) for number in range(3)]
    slot = key_slot(names[0].encode())
    async with (
        Session.open(nodes.url, ttl=4) as producer,
        Session.open(nodes.url, ttl=4) as consumer,
        Carrier(producer, consumer, names).work() as carried,
    ):
        for name in names:
            await carried.goes_on(name)
        os.kill(nodes.servers[0].pid, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            await until_owned_by_another(nodes, slot, 0)
            await carried.goes_on(names[0])
        finally:
            os.kill(nodes.servers[0].pid, signal.SIGCONT)
        await carried.goes_on(names[0])
    lost = carried.put - carried.got
    for name, number in lost:
        assert name == names[0], (name, number)
        assert stopped - UNREPLICATED < carried.put_at[name, number] <= stopped, (name, number)
    assert max(carried.standstill[name] for name in names[1:]) < 5, "the others go on undisturbed"


async def until_replicated(nodes: Nodes, number: int) -> None:
    """Wait until the replica has what its master has."""

    def offsets() -> tuple[str, ...]:
        told = [nodes.ask(each, "INFO", "replication").decode() for each in (number, number + nodes.masters)]
        return tuple(
            next(line.partition(":")[2] for line in text.splitlines() if line.startswith(word))
            for text, word in zip(told, ("master_repl_offset:", "slave_repl_offset:"), strict=True)
        )

    await until(lambda: asyncio.to_thread(offsets), lambda seen: len(set(seen)) == 1)


async def test_the_heartbeat_finds_the_new_master_while_the_event_loop_is_busy(replicated: Nodes) -> None:
    nodes = replicated
    name = name_at(nodes, 0)
    async with Session.open(nodes.url, ttl=6) as session, Lock(session, name) as lease:
        await until_replicated(nodes, 0)
        nodes.servers[0].kill()
        time.sleep(7)  # the loop does not turn for longer than the time to live  # noqa: ASYNC251
        lease.check()
        assert lease.seconds_left > 0
        await asyncio.to_thread(lambda: None)


async def test_a_node_that_says_nothing_costs_no_short_lease_at_another_one(nodes: Nodes) -> None:
    """One thread renews at all nodes: it waits for none longer than the shortest time to live allows."""
    silent, short = name_at(nodes, 0), name_at(nodes, 1)
    async with (
        Session.open(nodes.url) as session,
        Lock(session, silent, ttl=60.0) as other,
        Lock(session, short, ttl=2.0) as lease,
    ):
        os.kill(nodes.servers[0].pid, signal.SIGSTOP)
        try:
            for _ in range(12):
                renew_now(session)  # at the silent node, too
                await asyncio.sleep(0.5)
                lease.check()
        finally:
            os.kill(nodes.servers[0].pid, signal.SIGCONT)
        await asyncio.to_thread(nodes.until_well)
        other.check()
