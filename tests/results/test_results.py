"""Results as futures: each submitted message is answered once, whatever becomes of it, in asyncio's words."""

import asyncio
import json
import math

import pytest
from pydantic import TypeAdapter
from redis.asyncio import Redis

from shared.concurrency import (
    ConcurrencyError,
    Delivery,
    Queue,
    RemoteError,
    ResultFuture,
    ResultLost,
    Session,
    StaleDelivery,
)
from shared.concurrency.queues.encoding.entry import FLAG
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments import inside
from tests.instruments.answering import double, kept
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until
from tests.instruments.workers import working

pytestmark = pytest.mark.timeout(180)


# --- a future as any other --------------------------------------------------------------------------------------------


async def test_a_future_resolves_with_what_the_handler_returned(queue: Queue[int], there: Queue[int]) -> None:
    async with working(there, double):
        future = await queue.submit(21)
        assert asyncio.isfuture(future)
        async with asyncio.timeout(5):
            assert await future == 42
        assert future.result() == 42
        assert len(future.id) == 22


async def test_callbacks_wait_gather_and_as_completed_work_as_everybody_knows_them(
    queue: Queue[int], there: Queue[int]
) -> None:
    heard: list[int] = []
    async with asyncio.timeout(5), working(there, double):
        future = await queue.submit(1)
        future.add_done_callback(lambda done: heard.append(done.result()))
        done, left = await asyncio.wait({future})
        assert (done, left) == ({future}, set())
        assert heard == [2]
        futures = [await queue.submit(number) for number in range(10)]
        assert await asyncio.gather(*futures) == list(range(0, 20, 2))
        futures = [await queue.submit(number) for number in range(10)]
        assert sorted([await each for each in asyncio.as_completed(futures)]) == list(range(0, 20, 2))
        assert await asyncio.wait_for(await queue.submit(5), 5) == 10


async def test_concurrent_submissions_get_each_their_own(queue: Queue[int], there: Queue[int]) -> None:
    async def one(number: int) -> bool:
        future = await queue.submit(number)
        return bool(await future == 2 * number)

    async with asyncio.timeout(100), working(there, double):
        assert all(await asyncio.gather(*(one(number) for number in range(2000))))


async def test_who_takes_by_hand_answers_by_hand(queue: Queue[int], there: Queue[int]) -> None:
    future = await queue.submit(1)
    await (await there.get()).ack(result={"found": [1, None, "x"]})
    assert await future == {"found": [1, None, "x"]}
    future = await queue.submit(2)
    async with await there.get():
        pass
    assert await future is None


async def test_the_result_travels_with_the_effects(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    key = f"{{{queue.name}}}:effects"

    async def handle(delivery: Delivery[int]) -> str:
        delivery.effects.incrby(key, delivery.item)
        return "done"

    async with asyncio.timeout(5), working(there, handle):
        assert await (await queue.submit(3)) == "done"
        assert await client.get(key) == b"3"
    future = await queue.submit(4)
    delivery = await there.get()
    delivery.effects.incrby(key, 4)
    await delivery.ack(result=[1])
    assert (await future, await client.get(key)) == ([1], b"7")
    # What is refused is not answered either.
    future = await queue.submit(5)
    delivery = await there.get()
    delivery.effects.hset(key, "a", 1)
    with pytest.raises(ConcurrencyError, match="holds a string"):
        await delivery.ack(result=1)
    await delivery.dead_letter("unwritable")
    with pytest.raises(RemoteError, match="unwritable"):
        await future


# --- it costs nothing when nobody asks --------------------------------------------------------------------------------


async def test_a_plain_put_carries_nothing_and_its_result_is_not_looked_at(
    queue: Queue[int], there: Queue[int], client: Redis
) -> None:
    await queue.put(1)
    await queue.put(2, id="two")
    entries = await client.lrange(f"{{{queue.name}}}:pending", 0, -1)  # type: ignore[misc]
    assert [chr(entry[FLAG]) for entry in entries] == [".", "i"]
    await (await there.get()).ack(result=object())

    async def handle(_: Delivery[int]) -> object:
        return object()

    async with asyncio.timeout(5), working(there, handle):
        await queue.join()
    assert (await queue.statistics()).acked_total == 2
    assert not await client.exists(queue_keys(queue.name)["results"])


# --- on the server ----------------------------------------------------------------------------------------------------


async def test_what_was_heard_is_forgotten(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    async with asyncio.timeout(5), working(there, double):
        await asyncio.gather(*(await asyncio.gather(*(queue.submit(number) for number in range(20)))))

        async def left() -> int:
            return await kept(client, queue.name)

        await until(left, lambda left: left == 0)


async def test_what_nobody_hears_expires(url: str, far: Session, name: str, client: Redis) -> None:
    keys = queue_keys(name)
    async with Session.open(url) as session:
        _ = await Queue(session, name, int, results_for=50).submit(1)
    there = Queue(far, name, int)
    await (await there.get()).ack(result=1)
    assert await kept(client, name) == 1
    seconds, _ = await client.time()
    ((key, due),) = await client.zrange(keys["results_due"], 0, -1, withscores=True)
    assert 20 < due / 1000 - seconds <= 51
    assert 20 < await client.ttl(keys["results"]) <= 51 + 60
    assert await client.ttl(keys["results_due"]) > 20
    # The next one prunes.
    await client.zadd(keys["results_due"], {key: 1})
    async with Session.open(url) as session:
        future = await Queue(session, name, int).submit(2)
        await (await there.get()).ack(result=2)
        assert await future == 2
    assert await client.hexists(keys["results"].decode(), key) is False  # type: ignore[misc]


@pytest.mark.parametrize("seconds", [0, 9.9, -1, math.nan, math.inf, True, 367 * 86400])
async def test_for_how_long_is_checked(session: Session, name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"results_for is (between 10 and 31622400|a number of) seconds"):
        Queue(session, name, int, results_for=seconds)


async def test_results_go_out_when_memory_is_full(queue: Queue[int], there: Queue[int], client: Redis) -> None:
    future = await queue.submit(1)
    delivery = await there.get()
    try:
        await client.config_set("maxmemory", "1mb")
        await delivery.ack(result=2)
        async with asyncio.timeout(5):
            assert await future == 2
    finally:
        await client.config_set("maxmemory", "0")


# --- the connection ---------------------------------------------------------------------------------------------------


async def test_a_result_told_while_we_were_cut_off_is_asked_for(proxy: Proxy, there: Queue[int], name: str) -> None:
    async with Session.open(proxy.url) as session:
        queue = Queue(session, name, int)
        futures = [await queue.submit(number) for number in range(3)]
        with proxy.refusing():
            for _ in futures:
                delivery = await there.get()
                await delivery.ack(result=delivery.item)
        async with asyncio.timeout(5):
            assert await asyncio.gather(*futures) == [0, 1, 2]


async def test_a_wake_up_that_nobody_read_is_made_up_for_within_a_second(
    queue: Queue[int], there: Queue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Also when the lane has had nothing to do meanwhile.
    future = await queue.submit(0)
    await (await there.get()).ack()
    await future
    await inside.results_flushed(queue)
    await queue.statistics()
    future = await queue.submit(1)
    monkeypatch.setattr(inside.result_lane_at(queue), "receive", lambda *_: None)
    await (await there.get()).ack(result=2)
    async with asyncio.timeout(100):
        assert await future == 2


async def test_a_result_that_may_have_expired_meanwhile_is_said_to_be_lost(
    proxy: Proxy, there: Queue[int], name: str, client: Redis
) -> None:
    async with Session.open(proxy.url) as session:
        future, other = (
            await Queue(session, name, int, results_for=10).submit(1),
            await Queue(session, name, int).submit(2),
        )
        with proxy.refusing():
            await (await there.get()).ack(result=2)
            keys = queue_keys(name)
            await client.delete(keys["results"], keys["results_due"])
            inside.no_contact_for(session, name, 10)
        with pytest.raises(ResultLost, match="a result is kept for 10 s"):
            await future
        await (await there.get()).ack(result=3)
        assert await other == 3


async def test_nor_is_one_waited_for_whose_put_had_gone_in_while_nobody_knew(
    proxy: Proxy, there: Queue[int], name: str, client: Redis
) -> None:
    async with Session.open(proxy.url) as session:
        queue = Queue(session, name, int, maxsize=1, results_for=10)
        await queue.put(0)
        submitting = asyncio.create_task(queue.submit(1))
        # By its own connection: then it has read that its put waits, too.
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        with proxy.refusing():
            await (await there.get()).ack()
            await (await there.get()).ack(result=2)
            keys = queue_keys(name)
            await client.delete(keys["results"], keys["results_due"])
            inside.no_contact_for(session, name, 10)
            await client.config_set("maxmemory", 1)
        # The result is asked for before the put is answered, which needs memory.
        await until(lambda: asyncio.sleep(0, inside.longest_missed(queue)), lambda seconds: seconds > 10)
        await client.config_set("maxmemory", 0)
        future = await submitting
        with pytest.raises(ResultLost, match="a result is kept for 10 s"):
            async with asyncio.timeout(20):
                await future


@pytest.mark.parametrize("is_put_meanwhile", [False, True])
async def test_what_was_not_in_while_cut_off_is_not_lost(
    is_put_meanwhile: bool,  # noqa: FBT001  # a parameter of the test
    proxy: Proxy,
    there: Queue[int],
    name: str,
) -> None:
    async with Session.open(proxy.url) as session:
        queue = Queue(session, name, int, maxsize=1, results_for=10)
        # Something is waited for, so that the time without contact counts.
        first = await queue.submit(0)
        submitting = asyncio.create_task(queue.submit(1))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        async with asyncio.timeout(100):
            with proxy.refusing():
                inside.no_contact_for(session, name, 10)
                if is_put_meanwhile:
                    submitting.cancel()
                    submitting = asyncio.create_task(queue.submit(1))
                    await asyncio.sleep(0)
            with pytest.raises(ResultLost):  # it was in
                await first
            await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
            await (await there.get()).ack()
            future = await submitting
            looks = proxy.count("results")
            await until(lambda: asyncio.sleep(0, proxy.count("results")), lambda seen: seen > looks + 1)
            await (await there.get()).ack(result=2)
            assert await future == 2


# --- an answer comes once ---------------------------------------------------------------------------------------------


async def test_a_message_that_is_handled_twice_answers_once(
    queue: Queue[int], url: str, name: str, there: Queue[int], client: Redis
) -> None:
    future = await queue.submit(1)
    async with Session.open(url) as slow:
        late = await Queue(slow, name, int).get()
        await inside.end_session(client, slow, name)
        async with asyncio.timeout(5):
            await (await there.get()).ack(result="second")
        with pytest.raises(StaleDelivery):
            await late.ack(result="late")
    assert await future == "second"


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
@pytest.mark.parametrize("step", ["put", "settle_and_take", "results", "progress"])
async def test_a_break_at_any_step_answers_all_the_same(
    proxy: Proxy, name: str, step: str, fate: Fate, client: Redis
) -> None:
    async with Session.open(proxy.url) as session, asyncio.timeout(100):
        queue = Queue(session, name, int)

        async def handle(delivery: Delivery[int]) -> int:
            await delivery.progress(0.5)
            return -delivery.item

        async with working(queue, handle):
            assert await (await queue.submit(1)) == -1
            met = proxy.drop_nth(1, fate, lambda command: command.of_session and command.name == step)
            futures = await asyncio.gather(*(queue.submit(number) for number in range(300)))
            assert await asyncio.gather(*futures) == [-number for number in range(300)]
            await inside.result_lane_of(session, name).flush()
            assert met.is_set()
        statistics = await queue.statistics()
        assert (statistics.put_total, statistics.acked_total) == (301, 301)
        assert await kept(client, name) == 0


def test_what_is_told_of_a_failure_can_be_kept() -> None:
    import pickle  # noqa: PLC0415  # as multiprocessing does with what a child raises

    error = RemoteError("failed", "ValueError: x", "trace")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (back.reason, back.error, back.traceback, str(back)) == ("failed", "ValueError: x", "trace", str(error))
    assert str(RemoteError("unwanted")) == "unwanted"
    assert json.loads(TypeAdapter(str).dump_json(str(error)))
    assert issubclass(ResultFuture, asyncio.Future)


@pytest.mark.usefixtures("only_notified")
@pytest.mark.parametrize("size", [1, 100_000])
async def test_an_outcome_is_told_at_once(session: Session, far: Session, name: str, size: int) -> None:
    future = await Queue(session, name, str).submit("x")
    delivery = await Queue(far, name, str).get()
    # A large one is asked for when its key comes.
    async with asyncio.timeout(100):
        await delivery.ack(result="r" * size)
        assert await future == "r" * size


async def test_a_large_outcome_that_is_gone_when_it_is_asked_for_is_lost(queue: Queue[int], there: Queue[int]) -> None:
    # Its key was told; the process was stopped then for longer than the outcome is kept.
    future, other = await queue.submit(1), await queue.submit(2)
    key = future.id.encode()
    inside.result_lane_at(queue).receive(b"results", key + b"00000")
    async with asyncio.timeout(10):
        with pytest.raises(ResultLost, match="it was kept for"):
            await future
        _, two = await there.get(), await there.get()
        await two.ack(result=2)
        assert await other == 2


@pytest.mark.usefixtures("only_notified")
async def test_an_outcome_under_a_known_id_is_told_at_once(
    queue: Queue[int], there: Queue[int], other: Session
) -> None:
    future = await queue.submit(1, id="one")
    await (await there.get()).ack(result=7)
    assert await future == 7
    async with asyncio.timeout(100):
        assert await (await Queue(other, queue.name, int).submit(1, id="one")) == 7
