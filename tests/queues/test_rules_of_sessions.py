"""The rules of the queue (docs/guarantees.md) that speak of sessions, outages and ends: 8, 9, 12 and 13."""

import asyncio
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.concurrency import ConcurrencyError, Queue, QueueEmpty, QueueShutDown, Session, StaleDelivery
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.membership.keys import queue_keys
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.waiting import until


async def test_rule_8_a_session_over_loses_its_deliveries_and_goes_on_as_a_new_one(
    url: str, name: str, client: Redis
) -> None:
    async with Session.open(url, ttl=0.5) as session:
        queue = Queue(session, name, int)
        await queue.put(1)
        lost = await queue.get()
        body = asyncio.create_task(hold(queue))
        await queue.put(2)
        await until(queue.statistics, lambda statistics: statistics.leased == 2)
        before = inside.session_id_of(session, name)
        await inside.end_session(client, session, name)
        with pytest.raises(StaleDelivery):
            await body
        with pytest.raises(StaleDelivery):
            await lost.ack()
        items = []
        for _ in range(2):
            async with await queue.get() as item:
                items.append(item)
        assert items == [1, 2]
        assert inside.session_id_of(session, name) != before
        assert (await queue.statistics()).recovered_total == 2


async def hold(queue: Queue[int]) -> None:
    async with await queue.get():
        await asyncio.Event().wait()


async def test_rule_8_a_session_that_ends_while_two_wait_for_it_is_registered_again(
    session: Session, name: str
) -> None:
    member = inside.member_of(session, name)
    ended = False

    def end_it(_: "asyncio.Task[None]") -> None:
        nonlocal ended
        ended = True
        member.over(member.session_id)

    waiting = [asyncio.create_task(member.registration.ready()) for _ in range(2)]
    await asyncio.sleep(0)
    registration = inside.registration_of(session, name)
    # Called a turn of the loop before those who wait go on: they find the session over again.
    registration.add_done_callback(end_it)
    await asyncio.gather(*waiting)
    assert ended
    assert member.registration.is_done


async def test_rule_8_cancellation_from_outside_wins(url: str, name: str, client: Redis) -> None:
    async with Session.open(url, ttl=0.5) as session:
        queue = Queue(session, name, int)
        await queue.put(1)
        entered = asyncio.Event()

        async def body() -> None:
            async with await queue.get():
                entered.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    asyncio.current_task().cancel()  # type: ignore[union-attr]
                    raise

        task = asyncio.create_task(body())
        await entered.wait()
        await inside.end_session(client, session, name)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_rule_8_ending_a_session_gives_back_and_ending_one_that_is_over_raises_nothing(
    url: str, session: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int)
    for over in (False, True):
        await queue.put(1)
        async with Session.open(url) as ending:
            delivery = await Queue(ending, name, int).get()
            if over:
                await inside.end_session(client, ending, name)
        async with await queue.get() as item:
            assert item == 1
        with pytest.raises(StaleDelivery):
            await delivery.ack()


@pytest.mark.measured
@pytest.mark.timing
async def test_rule_8_a_busy_loop_keeps_its_session(url: str, session: Session, name: str) -> None:
    # The heartbeat's thread has a second and more to get its turn beside a loop that keeps the interpreter.
    async with Session.open(url, ttl=2.0) as busy:
        queue = Queue(busy, name, int)
        await queue.put(1)
        delivery = await queue.get()
        block_for(3.0)
        await delivery.ack()
    assert (await Queue(session, name, int).statistics()).acked_total == 1


def block_for(seconds: float) -> None:
    """Keep the event loop's thread busy, as a handler with no await does."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        pass


async def test_rule_9_recovery_is_in_old_order_and_by_whoever_takes(
    url: str, session: Session, name: str, client: Redis
) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(450))
    async with Session.open(url) as dead:
        deliveries = [await Queue(dead, name, int).get() for _ in range(450)]
        await inside.end_session(client, dead, name)
        items = []
        for _ in range(450):
            async with await queue.get() as item:
                items.append(item)
        assert items == list(range(450))
        assert (await queue.statistics()).recovered_total == 450
        assert deliveries


async def test_rule_9_a_renewed_session_is_not_recovered(url: str, session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    async with Session.open(url) as other:
        delivery = await Queue(other, name, int).get()
        await inside.recover(session, name, inside.session_id_of(other, name))
        await delivery.ack()
    assert (await queue.statistics()).recovered_total == 0


async def test_rule_12_a_call_waits_out_an_outage_and_goes_on(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url, ttl=1.0) as session:
        queue = Queue(session, name, int, maxsize=5)
        await queue.put(1)
        server.kill()
        put = asyncio.create_task(queue.put(2))
        got = asyncio.create_task(queue.get())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await queue.qsize()
        server.start()
        async with asyncio.timeout(100):
            await put
            async with await got as item:
                assert item == 2  # it keeps nothing on disk: 1 is gone with it
        assert (await queue.statistics()).maxsize == 5


async def test_rule_12_after_a_restart_no_session_is_declared_over_for_one_time_to_live(
    name: str, tmp_path: Path
) -> None:
    with EmbeddedServer(tmp_path, append_only=True) as server:
        async with Session.open(server.url, ttl=9.0) as holding, Session.open(server.url, ttl=9.0) as other:
            queue, theirs = Queue(holding, name, int), Queue(other, name, int)
            await queue.put(1)
            delivery = await queue.get()
            # As if the server had been away for longer than the time to live.
            async with Redis.from_url(server.url) as client:
                await inside.end_session(client, holding, name)
            server.restart()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await theirs.get()
            await delivery.ack()
            assert (await theirs.statistics()).acked_total == 1


async def test_rule_12_lost_scripts_are_loaded_again(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    for item in range(3):
        await client.script_flush()
        await queue.put(item)
        await client.script_flush()
        async with await queue.get() as got:
            assert got == item
    assert (await queue.statistics()).acked_total == 3


async def test_rule_12_blocked_calls_survive_killed_connections(
    url: str, session: Session, name: str, client: Redis
) -> None:
    async with Session.open(url) as other:
        queue, theirs = Queue(session, name, int, maxsize=1), Queue(other, name, int)
        getter = asyncio.create_task(queue.get())
        await until(lambda: client.zcard(queue_keys(name)["idle"]), lambda idle: idle == 1)
        await client.client_kill_filter(_type="normal", skipme=True)
        await client.client_kill_filter(_type="pubsub", skipme=True)
        await theirs.put(1)
        await (await getter).ack()
        await theirs.put(2)
        putter = asyncio.create_task(theirs.put(3))
        await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)
        await client.client_kill_filter(_type="normal", skipme=True)
        await client.client_kill_filter(_type="pubsub", skipme=True)
        for expected in (2, 3):
            async with await queue.get() as item:
                assert item == expected
        await putter


async def test_rule_12_a_deadline_too_far_away_is_cut(url: str, session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    sessions = queue_keys(name)["sessions"]
    dead = b"deadowner123.1.300"
    await client.zadd(sessions, {dead: 9e15})
    await client.execute_command("HSET", f"{{{name}}}:leased:{dead.decode()}", b"x" * 45, b"x" * 60)  # type: ignore[no-untyped-call]
    async with Session.open(url, ttl=0.3) as other:
        theirs = Queue(other, name, int)
        await theirs.qsize()
        # A renewal cuts it to its own time to live; then it passes as any other.
        await until(lambda: client.zscore(sessions, dead), lambda score: score is None or score < 9e15)
        assert (await client.zscore(sessions, dead) or 0) <= time.time() * 1000 + 300


async def test_rule_13_shutdown_ends_puts_and_gets_across_processes(url: str, session: Session, name: str) -> None:
    async with Session.open(url) as other:
        queue, theirs = Queue(session, name, int, maxsize=1), Queue(other, name, int)
        await queue.put(1)
        waiting_puts = [asyncio.create_task(theirs.put(number)) for number in (2, 3)]
        await until(queue.statistics, lambda statistics: statistics.puts_waiting == 2)
        delivery = await theirs.get()
        await queue.shutdown()
        getter = asyncio.create_task(theirs.get())
        # One of them was let in when 1 was taken; the other one leaves the line.
        results = await asyncio.gather(*waiting_puts, return_exceptions=True)
        assert results[0] is True
        assert isinstance(results[1], QueueShutDown)
        for call in (theirs.put(4), theirs.put_nowait(4), theirs.put_many([4])):
            with pytest.raises(QueueShutDown):
                await call
        second = await getter
        last = asyncio.create_task(theirs.get())
        await delivery.ack()
        await second.ack()
        with pytest.raises(QueueShutDown):
            await last
        await queue.reopen()
        await theirs.put(5)
        async with await theirs.get() as item:
            assert item == 5


async def test_rule_13_an_immediate_shutdown_drops_nothing(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=4)
    await queue.put_many(range(4))
    await (await queue.get()).nack()
    await (await queue.get()).nack(delay=60)
    await queue.shutdown(immediate=True)
    letters = await queue.dead_letters()
    assert sorted((letter.body, letter.reason) for letter in letters) == [
        (b"%d" % number, "shutdown") for number in range(4)
    ]
    with pytest.raises(QueueShutDown):
        await queue.get()


@pytest.mark.parametrize("way", ["nacked", "nacked for later", "given back", "recovered", "left behind"])
async def test_rule_13_what_comes_back_after_an_immediate_shutdown_is_not_delivered_again(
    url: str, session: Session, name: str, client: Redis, way: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    async with Session.open(url) as other:
        delivery = await Queue(other, name, int).get()
        await queue.shutdown(immediate=True)
        if way == "recovered":
            await inside.crash(client, session, name, other)
        elif way == "given back":
            await handout_of(delivery).settled("return")
        elif way.startswith("nacked"):
            await delivery.nack(delay=0.001 if way.endswith("later") else 0)
    with pytest.raises(QueueShutDown):
        await queue.get()
    assert [letter.reason for letter in await queue.dead_letters()] == ["shutdown"]
    await queue.join()


async def test_rule_13_an_immediate_shutdown_that_was_killed_half_way_delivers_nothing_and_is_finished_by_who_takes(
    session: Session, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(1100))
    await inside.operate_at(queue, "shutdown", 1, 1)  # 500 of them, or 250 with the flow set
    with pytest.raises(QueueEmpty):
        await queue.get_nowait()

    async def get() -> str:
        try:
            return f"got {await queue.get_nowait()}"
        except (QueueEmpty, QueueShutDown) as error:
            return type(error).__name__

    outcomes = [await get() for _ in range(5)]
    assert (set(outcomes) - {"QueueEmpty"}, outcomes[-1]) == ({"QueueShutDown"}, "QueueShutDown")
    assert (await queue.statistics()).dead == 1100


@pytest.mark.usefixtures("only_notified")
async def test_rule_13_one_get_finishes_an_immediate_shutdown_that_was_killed_half_way(
    session: Session, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(5000))
    await inside.operate_at(queue, "shutdown", 1, 1)
    # 500 a call, and the calls follow each other.
    async with asyncio.timeout(100):
        with pytest.raises(QueueShutDown):
            await queue.get()


async def test_rule_13_replay_puts_dead_letters_back_as_room_allows(session: Session, name: str) -> None:
    queue = Queue(session, name, int, maxsize=3)
    await queue.put_many(range(3))
    for _ in range(3):
        await (await queue.get()).dead_letter("not now")
    await queue.put(7, id="seven")
    assert await queue.replay() == 2
    assert (await queue.statistics()).dead == 1
    attempts = []
    for _ in range(3):
        delivery = await queue.get()
        attempts.append((delivery.item, delivery.attempt))
        await delivery.ack()
    assert attempts == [(7, 1), (0, 1), (1, 1)]
    assert await queue.replay() == 1
    async with await queue.get() as item:
        assert item == 2
    await queue.shutdown()
    with pytest.raises(QueueShutDown):
        await queue.replay(["x" * 22])


@pytest.mark.usefixtures("only_notified")
async def test_rule_13_join_waits_for_all(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    await queue.join()
    await queue.put_many([1, 2])
    joining = asyncio.create_task(queue.join())
    await (await queue.get()).dead_letter("why not")
    delivery = await queue.get()
    assert not joining.done()
    await delivery.ack()
    async with asyncio.timeout(100):
        await joining
    seen = await queue.statistics()
    assert (seen.acked_total, seen.dead_total, seen.leased, seen.pending) == (1, 1, 0, 0)


async def test_a_key_of_another_type_is_named_before_anything_is_changed(
    session: Session, name: str, client: Redis
) -> None:
    await client.set(f"{{{name}}}:dead", "somebody else's")
    queue = Queue(session, name, int)
    for call in (queue.put(1), queue.get(), queue.statistics()):
        with pytest.raises(ConcurrencyError, match=r"\{.*\}:dead holds a string, not a hash of ours"):
            await call
    assert [key async for key in client.scan_iter(f"{{{name}}}:*")] == [f"{{{name}}}:dead".encode()]
    await client.delete(f"{{{name}}}:dead")
    await queue.put(1)
    async with await queue.get() as item:
        assert item == 1


async def test_a_step_that_fails_half_way_loses_nothing(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int)
    await queue.put_many([1, 2])
    delivery = await queue.get()
    pending = queue_keys(name)["pending"]
    await client.rename(pending, "aside" + name)
    await client.set(pending, "somebody else's")
    with pytest.raises(ConcurrencyError, match="holds a string"):
        await delivery.ack()
    await client.rename("aside" + name, pending)
    items = set()
    while (await queue.statistics()).acked_total < 2:
        async with await queue.get() as item:
            items.add(item)
    assert 2 in items
