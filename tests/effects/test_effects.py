"""Effects: written with the acknowledgement, if and only if the delivery is still ours; all of them or none."""

import asyncio
import contextlib
import enum
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import (
    ConcurrencyError,
    Delivery,
    EffectRefused,
    Effects,
    MessageTooLarge,
    Queue,
    QueueEmpty,
    Session,
    StaleDelivery,
)
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.effects.effects import add_json, writes_of
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.census import take_census
from tests.instruments.inside import is_held
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until


@pytest.fixture
async def client_of(server: EmbeddedServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


async def taken(queue: Queue[int], item: int = 1) -> Delivery[int]:
    await queue.put(item)
    return await queue.get()


async def state(client: Redis, key: str) -> Any:
    kind = (await client.type(key)).decode()
    read: dict[str, Any] = {
        "none": lambda: asyncio.sleep(0, None),
        "string": lambda: client.get(key),
        "hash": lambda: client.hgetall(key),
        "list": lambda: client.lrange(key, 0, -1),
        "set": lambda: client.smembers(key),
    }
    return await read[kind]()


# --- each command -----------------------------------------------------------------------------------------------------


async def test_every_kind_of_write_is_made_with_the_acknowledgement(session: Session, client: Redis, name: str) -> None:
    delivery = await taken(Queue(session, name, int))
    effects, key = delivery.effects, f"{{{name}}}:mine"
    effects.hincrby(f"{key}:hash", "a")
    effects.hincrby(f"{key}:hash", "a", 41)
    effects.hincrby(f"{key}:hash", "b", -3)
    effects.hset(f"{key}:hash", "text", "größe")
    effects.set(f"{key}:set", b"\x00\xff")
    effects.incrby(f"{key}:number", 7)
    effects.incrby(f"{key}:number", -2)
    effects.rpush(f"{key}:list", 1, 2.5, "three")
    effects.sadd(f"{key}:members", "a", "b", "a")
    effects.expire(f"{key}:list", 60)
    await client.set(f"{key}:gone", "x")
    effects.delete(f"{key}:gone")
    assert await state(client, f"{key}:hash") is None
    await delivery.ack()
    assert await state(client, f"{key}:hash") == {b"a": b"42", b"b": b"-3", b"text": "größe".encode()}
    assert await state(client, f"{key}:set") == b"\x00\xff"
    assert await state(client, f"{key}:number") == b"5"
    assert await state(client, f"{key}:list") == [b"1", b"2.5", b"three"]
    assert 59_000 < await client.pttl(f"{key}:list") <= 60_000
    assert await state(client, f"{key}:members") == {b"a", b"b"}
    assert await state(client, f"{key}:gone") is None
    (await take_census(client, name)).check()


async def test_a_clean_exit_makes_them_and_an_exception_does_not(session: Session, client: Redis, name: str) -> None:
    queue, key = Queue(session, name, int), f"{{{name}}}:counts"
    await queue.put(1)
    delivery = await queue.get()
    with pytest.raises(ZeroDivisionError):
        async with delivery as item:
            delivery.effects.hincrby(key, "n", item)
            raise ZeroDivisionError
    assert await state(client, key) is None
    delivery = await queue.get()
    async with delivery as item:
        delivery.effects.hincrby(key, "n", item)
    assert await state(client, key) == {b"n": b"1"}


class Grade(enum.IntEnum):
    GOOD = 2


class Shown(float):
    """As numpy's float64, a float that shows itself otherwise."""

    def __repr__(self) -> str:
        return f"Shown({float(self)})"


async def test_numbers_of_a_class_of_their_own_are_written_as_numbers(
    session: Session, client: Redis, name: str
) -> None:
    delivery, key = await taken(Queue(session, name, int)), f"{{{name}}}:mine"
    delivery.effects.hincrby(key, Grade.GOOD, Grade.GOOD)
    delivery.effects.hset(key, "share", Shown(1.5))
    delivery.effects.incrby(f"{key}:number", Grade.GOOD)
    await delivery.ack()
    assert await state(client, key) == {b"2": b"2", b"share": b"1.5"}
    assert await state(client, f"{key}:number") == b"2"


async def test_many_at_once_each_with_its_own(session: Session, client: Redis, name: str) -> None:
    queue, key = Queue(session, name, int), f"{{{name}}}:counts"
    await queue.put_many(range(700))

    async def work() -> None:
        for _ in range(70):
            async with (delivery := await queue.get()) as item:
                delivery.effects.hincrby(key, item % 7, item)
                delivery.effects.rpush(f"{key}:all", item)

    await asyncio.gather(*(work() for _ in range(10)))
    assert await state(client, key) == {str(n).encode(): str(sum(range(n, 700, 7))).encode() for n in range(7)}
    assert sorted(map(int, await state(client, f"{key}:all"))) == list(range(700))
    census = await take_census(client, name)
    census.check()
    assert census.unfinished == 0


async def test_many_writes_of_one_message(session: Session, client: Redis, name: str) -> None:
    delivery, key = await taken(Queue(session, name, int)), f"{{{name}}}:counts"
    for number in range(4000):
        delivery.effects.hset(key, number, number)
        delivery.effects.sadd(f"{key}:all", number)
    await delivery.ack()
    assert await state(client, key) == {str(n).encode(): str(n).encode() for n in range(4000)}
    assert len(await state(client, f"{key}:all")) == 4000


# --- all or none ------------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, Any, str]] = {
    "a hash where a list is": (
        lambda client, key: client.rpush(key, 1), lambda effects, key: effects.hincrby(key, "a"), "holds a list"),
    "a list where a hash is": (
        lambda client, key: client.hset(key, "a", 1), lambda effects, key: effects.rpush(key, 1), "holds a hash"),
    "a set where text is": (
        lambda client, key: client.set(key, 1), lambda effects, key: effects.sadd(key, 1), "holds a string"),
    "a number where text is": (
        lambda client, key: client.set(key, "abc"), lambda effects, key: effects.incrby(key, 1), "no number"),
    "a number where a fraction is": (
        lambda client, key: client.hset(key, "a", "1.5"), lambda effects, key: effects.hincrby(key, "a"), "no number"),
    "a number with a blank": (
        lambda client, key: client.set(key, " 1"), lambda effects, key: effects.incrby(key), "no number"),
    "a number with a zero in front": (
        lambda client, key: client.set(key, "01"), lambda effects, key: effects.incrby(key), "no number"),
    "past what a double holds": (
        lambda client, key: client.set(key, 2**53 - 1), lambda effects, key: effects.incrby(key), "2\\*\\*53"),
    "past it in a hash": (
        lambda client, key: client.hset(key, "a", 1 - 2**53), lambda effects, key: effects.hincrby(key, "a", -1), "2\\*\\*53"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_when_one_can_not_be_made_none_is(session: Session, client: Redis, name: str, case: str) -> None:
    prepare, wrong, why = WRONG[case]
    key, other = f"{{{name}}}:mine", f"{{{name}}}:other"
    await prepare(client, key)
    before = await state(client, key)
    delivery = await taken(Queue(session, name, int))
    delivery.effects.hincrby(other, "a")
    wrong(delivery.effects, key)
    delivery.effects.rpush(f"{other}:list", 1)
    with pytest.raises(EffectRefused, match=why):
        await delivery.ack()
    assert await state(client, key) == before
    assert await state(client, other) is None
    assert is_held(delivery)
    await delivery.nack(delay=1)
    census = await take_census(client, name)
    census.check()
    assert census.delayed == 1


SECOND: dict[str, Callable[[Effects, str], None]] = {
    "another kind": lambda effects, key: effects.rpush(f"{key}:hash", 1),
    "another kind on a field": lambda effects, key: effects.hset(f"{key}:hash", "a", "x"),
    "a delete": lambda effects, key: effects.delete(f"{key}:hash"),
    "a value and a number": lambda effects, key: effects.set(f"{key}:number", 1),
    "amounts too large together": lambda effects, key: effects.hincrby(f"{key}:hash", "a", 2**53 - 1),
    "a number too large together": lambda effects, key: effects.incrby(f"{key}:number", 2**53 - 1),
}


@pytest.mark.parametrize("case", SECOND)
async def test_a_second_kind_of_write_on_a_key_is_refused_where_it_is_asked_for(
    session: Session, client: Redis, name: str, case: str
) -> None:
    delivery = await taken(Queue(session, name, int))
    effects, key = delivery.effects, f"{{{name}}}:mine"
    effects.hincrby(f"{key}:hash", "a", 2)
    effects.incrby(f"{key}:number", 3)
    with pytest.raises(ValueError, match=r"one delivery makes one kind of write|come to less than 2\*\*53"):
        SECOND[case](effects, key)
    effects.expire(f"{key}:hash", 60)
    await delivery.ack()
    assert await state(client, f"{key}:hash") == {b"a": b"2"}
    assert await state(client, f"{key}:number") == b"3"


async def test_the_same_kind_asked_for_again_is_joined(session: Session, client: Redis, name: str) -> None:
    delivery = await taken(Queue(session, name, int))
    effects, key = delivery.effects, f"{{{name}}}:mine"
    for number in range(3):
        effects.hincrby(f"{key}:counts", "a", number)
        effects.hset(f"{key}:texts", "a", number)
        effects.hset(f"{key}:texts", number, "x")
        effects.set(f"{key}:value", number)
        effects.incrby(f"{key}:number", 2)
        effects.rpush(f"{key}:list", number)
        effects.sadd(f"{key}:members", number)
        effects.delete(f"{key}:gone")
        effects.expire(f"{key}:list", 60 * (number + 1))
    assert writes_of(delivery.effects).count == 8
    await delivery.ack()
    assert await state(client, f"{key}:counts") == {b"a": b"3"}
    assert await state(client, f"{key}:texts") == {b"a": b"2", b"0": b"x", b"1": b"x", b"2": b"x"}
    assert await state(client, f"{key}:value") == b"2"
    assert await state(client, f"{key}:number") == b"6"
    assert await state(client, f"{key}:list") == [b"0", b"1", b"2"]
    assert await state(client, f"{key}:members") == {b"0", b"1", b"2"}
    assert 179_000 < await client.pttl(f"{key}:list") <= 180_000


async def test_many_fields_are_asked_for_together(session: Session, client: Redis, name: str) -> None:
    delivery = await taken(Queue(session, name, int))
    effects, key = delivery.effects, f"{{{name}}}:mine"
    asked = {"a": 1, "b": 2}
    effects.hincrby(f"{key}:counts", asked)
    effects.hincrby(f"{key}:counts", "a", 10)
    effects.hincrby(f"{key}:counts", {b"b": 20, b"c": -3})
    effects.hincrby(f"{key}:counts", {"c": 1, "d": 4})
    effects.hset(f"{key}:counts", {"text": "x", "more": 1.5})
    effects.hset(f"{key}:texts", "a", "x")
    effects.hset(f"{key}:texts", {"a": "y", "b": b"z"})
    asked.clear()  # the caller's own again
    assert writes_of(effects).asked[0] == ("hincrby", f"{key}:counts", {"a": 1, "b": 2})
    again = Effects()
    add_json(again, json.loads(json.dumps(writes_of(effects).to_json())))
    assert writes_of(again).asked == writes_of(effects).asked
    assert [write.operands for write in writes_of(again)] == [write.operands for write in writes_of(effects)]
    await delivery.ack()
    counts = {b"a": b"11", b"b": b"22", b"c": b"-2", b"d": b"4", b"text": b"x", b"more": b"1.5"}
    assert await state(client, f"{key}:counts") == counts
    assert await state(client, f"{key}:texts") == {b"a": b"y", b"b": b"z"}


SECOND_OF_MANY: dict[str, Callable[[Effects], None]] = {
    "a sum too large": lambda effects: effects.hincrby("hash", {"new": 1, "a": 2**53 - 1}),
    "another kind on a field": lambda effects: effects.hset("hash", {"new": 1, "a": 1}),
    "another kind on a field of the other": lambda effects: effects.hincrby("hash", {"new": 1, "text": 1}),
}


@pytest.mark.parametrize("case", SECOND_OF_MANY)
def test_of_many_fields_none_is_collected_when_one_is_refused(case: str) -> None:
    effects = Effects()
    effects.hincrby("hash", {"a": 1, "b": 2})
    effects.hset("hash", {"text": "x"})
    with pytest.raises(ValueError, match=r"one delivery makes one kind of write|come to less than 2\*\*53"):
        SECOND_OF_MANY[case](effects)
    assert [write.operands for write in writes_of(effects)] == [[b"a", b"1", b"b", b"2"], [b"text", b"x"]]
    assert len(effects) == 2


async def test_in_one_call_each_delivery_stands_for_itself(session: Session, client: Redis, name: str) -> None:
    queue, key = Queue(session, name, int), f"{{{name}}}:mine"
    await client.set(f"{key}:text", "abc")
    await queue.put_many(range(6))
    deliveries = [await queue.get() for _ in range(6)]
    for delivery in deliveries:
        delivery.effects.hincrby(key, "n")
        if delivery.item % 3 == 0:
            delivery.effects.incrby(f"{key}:text")
    outcomes = await asyncio.gather(*(delivery.ack() for delivery in deliveries), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EffectRefused, type(None), type(None)] * 2
    assert await state(client, key) == {b"n": b"4"}
    for delivery in deliveries[::3]:
        await delivery.dead_letter("a test")


async def test_a_refusal_at_the_end_of_a_block_is_a_failure_of_the_message(
    session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await client.set(f"{{{name}}}:text", "abc")
    delivery = await taken(queue)
    with pytest.raises(EffectRefused):
        async with delivery:
            delivery.effects.incrby(f"{{{name}}}:text")
    (letter,) = await queue.dead_letters()
    assert letter.reason == "failed"
    assert "EffectRefused" in letter.error


async def test_a_refusal_that_nobody_waits_for_is_a_failure_of_the_message(
    session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await client.set(f"{{{name}}}:text", "abc")
    delivery = await taken(queue)
    delivery.effects.incrby(f"{{{name}}}:text")
    acking = asyncio.create_task(delivery.ack())
    await asyncio.sleep(0)  # it waits for the answer
    acking.cancel()
    await until(queue.statistics, lambda now: now.dead == 1)


FORBIDDEN: dict[str, tuple[str, Callable[[Delivery[int], Session, str], None]]] = {
    "a key": ("~{NAME}*", lambda delivery, _, name: delivery.effects.set(f"elsewhere-{name}", 1)),
    "a command": ("~* -set", lambda delivery, _, name: delivery.effects.set(f"{{{name}}}:text", 1)),
    "a queue": (
        "~{NAME}*",
        lambda delivery, session, name: delivery.effects.put(Queue(session, f"its-{name}", int), 1),
    ),
}


@pytest.mark.parametrize("case", FORBIDDEN)
async def test_what_the_acl_forbids_is_a_failure_of_that_message_alone(
    server: EmbeddedServer, client_of: Redis, name: str, case: str
) -> None:
    rights, forbidden = FORBIDDEN[case]
    rights = rights.replace("NAME", name)
    await client_of.execute_command("ACL", "SETUSER", "weak", "on", ">pass", "&*", "+@all", *rights.split())  # type: ignore[no-untyped-call]
    seen: list[int] = []
    async with Session.open(f"{server.url}&username=weak&password=pass") as session:
        queue, key = Queue(session, name, int, max_attempts=2), f"{{{name}}}:counts"
        await queue.put_many([1, 2, 3])

        async def handle(delivery: Delivery[int]) -> None:
            seen.append(delivery.item)
            delivery.effects.hincrby(key, delivery.item)
            if delivery.item == 2:
                forbidden(delivery, session, name)

        worker = Worker(queue, handle)
        working = asyncio.create_task(worker.run())
        await queue.join()
        await worker.stop(5)
        await working
        (letter,) = await queue.dead_letters()
        assert letter.body == b"2"
        assert "ACL" in letter.error
    assert sorted(seen) == [1, 2, 2, 3]
    assert await state(client_of, key) == {b"1": b"1", b"3": b"1"}
    (await take_census(client_of, name)).check()


# --- ownership --------------------------------------------------------------------------------------------------------


async def test_a_delivery_that_is_not_ours_any_more_writes_nothing(session: Session, client: Redis, name: str) -> None:
    queue, key = Queue(session, name, int), f"{{{name}}}:mine"
    delivery = await taken(queue)
    await client.delete(f"{{{name}}}:leased:{inside.session_id_at(queue)}")
    delivery.effects.incrby(key)
    with pytest.raises(StaleDelivery):
        await delivery.ack()
    assert await state(client, key) is None


async def test_a_session_that_is_over_writes_nothing(session: Session, client: Redis, name: str) -> None:
    queue, key = Queue(session, name, int), f"{{{name}}}:mine"
    delivery = await taken(queue)
    await client.zrem(f"{{{name}}}:sessions", inside.session_id_at(queue))
    delivery.effects.incrby(key)
    with pytest.raises(StaleDelivery):
        await delivery.ack()
    assert await state(client, key) is None


async def test_nothing_is_added_to_what_is_on_its_way(session: Session, client: Redis, name: str) -> None:
    queue, key = Queue(session, name, int), f"{{{name}}}:mine"
    await client.set(key, "abc")
    delivery = await taken(queue)
    delivery.effects.incrby(key)
    acking = asyncio.create_task(delivery.ack())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="collect its effects before"):
        delivery.effects.incrby(key)
    with pytest.raises(EffectRefused):
        await acking
    # It is ours again.
    delivery.effects.incrby(key)
    await delivery.dead_letter("a test")


async def test_a_second_acknowledgement_is_stale(session: Session, client: Redis, name: str) -> None:
    queue, key = Queue(session, name, int), f"{{{name}}}:mine"
    delivery = await taken(queue)
    delivery.effects.incrby(key)
    await delivery.ack()
    with pytest.raises(StaleDelivery):
        await delivery.ack()
    assert await state(client, key) == b"1"


# --- the server's memory is full
# ----------------------------------------------------------------------------------------


async def test_with_a_full_memory_nothing_is_written_and_the_delivery_stays_ours(
    server: EmbeddedServer, name: str
) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        queue, key = Queue(session, name, int), f"{{{name}}}:n"
        await queue.put_many([1, 2])
        first, second = [await queue.get() for _ in range(2)]
        first.effects.incrby(key)
        await client.config_set("maxmemory", 1)
        acking = asyncio.create_task(first.ack())
        await until(lambda: asyncio.sleep(0, inside.waits_for_memory(inside.effect_lane_at(queue))), bool)
        assert await client.get(key) is None
        await second.ack()  # what needs no memory goes on
        now = await queue.statistics()
        assert (now.leased, now.acked_total) == (1, 1)
        assert not acking.done()
        await client.config_set("maxmemory", 0)
        async with asyncio.timeout(5):
            await acking
        assert await client.get(key) == b"1"


async def test_a_session_that_ends_while_memory_is_full_gives_back_what_it_could_not_write(
    server: EmbeddedServer, name: str
) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        queue, key = Queue(session, name, int), f"{{{name}}}:n"
        async with Session.open(server.url, ttl=2.0) as ending:
            delivery = await taken(Queue(ending, name, int))
            delivery.effects.incrby(key)
            await client.config_set("maxmemory", 1)
            acking = asyncio.create_task(delivery.ack())
            await until(lambda: asyncio.sleep(0, inside.waits_for_memory(inside.effect_lane_of(ending, name))), bool)
        with pytest.raises(ConcurrencyError, match="closed"):
            await acking
        now = await queue.statistics()
        assert (now.leased, now.delayed, now.acked_total) == (0, 1, 0)
        await client.config_set("maxmemory", 0)
        async with (again := await queue.get()):
            # Neither a failure nor a crash.
            assert (again.attempt, again.failures, handout_of(again).entry[38:39]) == (2, 0, b"0")
            again.effects.incrby(key)
        assert await client.get(key) == b"1"


async def test_when_the_lost_reply_was_to_what_filled_the_memory_the_acknowledgement_holds(
    server: EmbeddedServer, tmp_path: Path, name: str
) -> None:
    async with (
        Proxy(server.url, tmp_path) as proxy,
        Session.open(proxy.url) as session,
        Redis.from_url(server.url) as client,
    ):
        queue, key = Queue(session, name, int), f"{{{name}}}:n"
        await queue.put_many([1, 2])
        first, second = [await queue.get() for _ in range(2)]
        first.effects.incrby(key)
        await first.ack()  # the server knows the step
        second.effects.incrby(key)
        proxy.drop_nth(1, Fate.DROP_AFTER, lambda command: command.name == "settle_with_effects")
        async with proxy.holding("settle_with_effects") as hold:
            acking = asyncio.create_task(second.ack())
            await hold.arrived.wait()
            await client.config_set("maxmemory", 1)
        await until(lambda: asyncio.sleep(0, inside.waits_for_memory(inside.effect_lane_at(queue))), bool)
        assert await client.get(key) == b"2"
        await client.config_set("maxmemory", 0)
        async with asyncio.timeout(5):
            await acking
        assert await client.get(key) == b"2"


async def test_with_a_full_memory_a_worker_takes_no_more_than_it_can_have_unanswered(
    server: EmbeddedServer, name: str
) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        queue, key = Queue(session, name, int), f"{{{name}}}:n"
        await queue.put_many(range(2000))
        await client.config_set("maxmemory", 1)

        async def handle(delivery: Delivery[int]) -> None:
            delivery.effects.incrby(key)

        worker = Worker(queue, handle, concurrency=3)
        working = asyncio.create_task(worker.run())
        await until(lambda: asyncio.sleep(0, inside.is_backpressured(queue)), bool)
        left = (await queue.statistics()).pending
        assert left > 1000
        assert (await queue.statistics()).acked_total == 0
        await client.config_set("maxmemory", 0)
        await queue.join()
        assert await client.get(key) == b"2000"
        await worker.stop(5)
        await working


# --- the step fails for good ------------------------------------------------------------------------------------------


async def test_what_a_broken_step_gives_back_is_not_handled_again_and_again(
    session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int)
    await client.eval(  # type: ignore[misc]
        "redis.call('HSET', KEYS[1], ARGV[1], '9999999999999 spoilt')",
        1,
        f"{{{name}}}:lanes",
        f"{inside.owner_of(session)}:effects",
    )
    handled: list[float] = []

    async def handle(delivery: Delivery[int]) -> None:
        handled.append(asyncio.get_running_loop().time())
        delivery.effects.incrby(f"{{{name}}}:n")

    worker = Worker(queue, handle)
    working = asyncio.create_task(worker.run())
    await queue.put(1)
    # The second waits in the lane while the first is paid for.
    await until(lambda: asyncio.sleep(0, len(handled)), lambda count: count > 2, 90)
    assert handled[2] - handled[0] > 0.9
    await client.hdel(f"{{{name}}}:lanes", f"{inside.owner_of(session)}:effects")  # type: ignore[misc]
    await queue.join()
    assert await client.get(f"{{{name}}}:n") == b"1"
    await worker.stop(5)
    await working


async def test_what_a_failed_step_may_still_hold_goes_back_though_a_take_is_on_its_way(
    session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int)
    delivery = await taken(queue)
    await until(lambda: asyncio.sleep(0, inside.is_calling(queue)), lambda calling: not calling)
    taking = asyncio.create_task(queue.get_nowait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert inside.is_calling(queue)
    # It is on the wire, and says nothing of this.
    inside.forget(queue, delivery)
    inside.resync_needed(queue)
    with contextlib.suppress(QueueEmpty):
        await (await taking).nack()
    await until(lambda: take_census(client, name), lambda census: census.leased == 0)
    assert await state(client, f"{{{name}}}:leased:{inside.session_id_at(queue)}") is None


# --- bad input --------------------------------------------------------------------------------------------------------

BAD: list[tuple[Any, type[Exception]]] = [
    (lambda effects: effects.hincrby("", "a"), ValueError),
    (lambda effects: effects.hincrby(b"key", "a"), ValueError),
    (lambda effects: effects.hincrby("key", "a", 1.5), TypeError),
    (lambda effects: effects.hincrby("key", "a", amount=True), TypeError),
    (lambda effects: effects.hincrby("key", "a", 2**53), ValueError),
    (lambda effects: effects.hincrby("key", None), TypeError),
    (lambda effects: effects.hincrby("key", {}), ValueError),
    (lambda effects: effects.hincrby("key", {"a": 1, "b": 1.5}), TypeError),
    (lambda effects: effects.hincrby("key", {"a": 1, None: 1}), TypeError),
    (lambda effects: effects.hset("key", {"a": 1, "b": None}), TypeError),
    (lambda effects: effects.hset("key", "a"), TypeError),
    (lambda effects: effects.hset("key", "a", value=True), TypeError),
    (lambda effects: effects.hset("key", "a", float("nan")), ValueError),
    (lambda effects: effects.set("key", "\ud800"), ValueError),
    (lambda effects: effects.set("key", ["a"]), TypeError),
    (lambda effects: effects.incrby("key", "1"), TypeError),
    (lambda effects: effects.expire("key", 0), ValueError),
    (lambda effects: effects.expire("key", float("nan")), ValueError),
    (lambda effects: effects.expire("key", seconds=True), ValueError),
    (lambda effects: effects.rpush("key"), ValueError),
    (lambda effects: effects.sadd("key"), ValueError),
    (lambda effects: effects.rpush("key", *range(100_001)), ValueError),
    (lambda effects: effects.set("key", b"x" * (4 << 20 | 1)), ValueError),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_can_not_be_sent_is_refused_where_it_is_asked_for(number: int) -> None:
    call, error = BAD[number]
    effects = Effects()
    with pytest.raises(error):
        call(effects)
    assert not writes_of(effects).asked
    assert not list(writes_of(effects))


async def test_the_queue_s_own_keys_are_refused(session: Session, name: str) -> None:
    queue, other = Queue(session, name, int), Queue(session, f"{name}-2", int)
    for key in (f"{{{name}}}:pending", f"{{{name}}}:leased:x", f"{{{name}-2}}:settings"):
        delivery = await taken(queue)
        delivery.effects.set(key, "x")
        delivery.effects.put(other, 1)
        with pytest.raises(EffectRefused, match="own"):
            await delivery.ack()
        assert is_held(delivery)
        await delivery.dead_letter("a test")


async def test_what_is_forwarded_is_checked_where_it_is_asked_for(session: Session, name: str) -> None:
    delivery = await taken(Queue(session, name, int))
    following = Queue(session, f"{name}-2", int, max_message_bytes=3)
    with pytest.raises(ValueError, match="cannot be written"):
        delivery.effects.put(following, "x")  # type: ignore[misc]
    with pytest.raises(MessageTooLarge):
        delivery.effects.put(following, 12345)
    await delivery.ack()


async def test_a_queue_of_another_session_is_refused(session: Session, url: str, name: str) -> None:
    async with Session.open(url) as other:
        delivery = await taken(Queue(session, name, int))
        delivery.effects.put(Queue(other, f"{name}-2", int), 1)
        with pytest.raises(EffectRefused, match="same session"):
            await delivery.ack()
        await delivery.nack()
