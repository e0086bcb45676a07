"""A connection that breaks at any command of any public call: one effect, nothing lost, and the call goes on.

Every call runs once untouched, to count its commands; then once for each of them and each way to break it.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from consumer.outcomes import Reject, Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session
from tests.instruments import calls, figures, inside
from tests.instruments.calls import PAUSED, World, items_left
from tests.instruments.census import take_census
from tests.instruments.inside import is_held, is_lost
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate

FATES: Final = (Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Case:
    """One public call: what comes before it, the call, and the effect that it has once."""

    prepare: Callable[[World], Awaitable[None]]
    call: Callable[[World], Awaitable[Any]]
    check: Callable[[World, Any], Awaitable[None]]


def left(*expected: int, **totals: int) -> Callable[[World, Any], Awaitable[None]]:
    """The effect is these items in the queue, in order; and these numbers in its statistics."""

    async def check(world: World, _: Any) -> None:
        statistics = await world.other.statistics()
        assert {word: getattr(statistics, word) for word in totals} == totals
        assert await items_left(world) == list(expected)

    return check


def answers(value: object, *expected: int) -> Callable[[World, Any], Awaitable[None]]:
    """The call answers this, and leaves these items."""

    async def check(world: World, answer: Any) -> None:
        assert answer == value
        assert await items_left(world) == list(expected)

    return check


async def two_sessions(world: World, sessions: Any) -> None:
    assert sorted(session.held for session in sessions) == [0, 1]
    assert await items_left(world) == [2, 3]


async def one_told(world: World, owners: Any) -> None:
    assert owners == [inside.owner_at(world.other)]
    async with asyncio.timeout(5):
        await asyncio.wait(world.tasks)
    assert all(task.done() for task in world.tasks)


async def one_letter(world: World, letters: Any) -> None:
    assert [letter.reason for letter in letters] == ["a test"]
    assert await items_left(world) == [2, 3]


async def one_of_three(world: World, answer: int) -> None:
    # What was handed out with the lost reply is given back, and may come after the next.
    assert answer in (1, 2)
    assert sorted([answer, *await items_left(world)]) == [1, 2, 3]


async def effects_once(world: World, answer: Any) -> None:
    assert await calls.effects_made(world) == 1
    await left(2, 3, acked_total=1, leased=0)(world, answer)


async def answered_and_effects_once(world: World, answer: Any) -> None:
    assert answer == "done"
    await effects_once(world, answer)


async def progress_or_none(world: World, _: Any) -> None:
    # A hint, which may be lost; nothing else is.
    assert [is_held(delivery) for delivery in world.held] == [True]
    assert await items_left(world) == [2, 3]


CASES: Final[dict[str, Case]] = {
    "put": Case(calls.nothing, calls.put, left(7, put_total=1)),
    "put with id": Case(calls.nothing, calls.put_with_id, left(7, put_total=1)),
    "put that waits for its key": Case(calls.two_of_a_key, calls.put_that_waits_for_its_key, answers([1], 2, 7)),
    "nack that lets others pass": Case(calls.one_of_a_key_held, calls.nack_that_lets_others_pass, answers(None, 2, 1)),
    "put that waits": Case(calls.full, calls.put_that_waits, answers([1], 2, 3, 4, 7)),
    "put withdrawn": Case(calls.full, calls.put_withdrawn, left(1, 2, 3, 4, puts_waiting=0, put_total=4)),
    "put_unique": Case(calls.nothing, calls.put_unique, left(7, put_total=1)),
    "put_unique that replaces": Case(
        calls.nothing, calls.put_unique_that_replaces, left(7, put_total=1, replaced_total=1)
    ),
    "put_nowait": Case(calls.nothing, calls.put_nowait, left(7, put_total=1)),
    "put_nowait, full": Case(calls.full, calls.put_nowait_full, answers("full", 1, 2, 3, 4)),
    "put_many": Case(calls.nothing, calls.put_many, left(put_total=20, acked_total=20)),
    "submit": Case(calls.nothing, calls.submit, answers(70)),
    "submit with id": Case(calls.nothing, calls.submit_with_id, answers([70, 70])),
    "submit given up": Case(calls.nothing, calls.submit_given_up, left(put_total=1, cancelled_total=1, acked_total=0)),
    "ack with result": Case(calls.one_asked, calls.ack_with_result, answers("done", 2, 3)),
    "ack, result, effects": Case(calls.one_asked, calls.ack_with_result_and_effects, answered_and_effects_once),
    "progress": Case(calls.one_asked, calls.tell_progress, progress_or_none),
    "get": Case(calls.three_pending, calls.get, one_of_three),
    "get_nowait": Case(calls.three_pending, calls.get_nowait, one_of_three),
    "get that waits": Case(calls.nothing, calls.get_that_waits, answers(7)),
    "ack": Case(calls.one_held, calls.ack, left(2, 3, acked_total=1, leased=0)),
    "ack with effects": Case(calls.one_held, calls.ack_with_effects, effects_once),
    "async with, effects": Case(calls.one_held, calls.body_with_effects, effects_once),
    "nack": Case(calls.one_held, calls.nack, left(1, 2, 3, nacked_total=1, leased=0)),
    "nack with delay": Case(calls.one_held, calls.nack_later, left(2, 3, nacked_total=1, delayed=1)),
    "dead_letter": Case(calls.one_held, calls.dead_letter, left(2, 3, dead_total=1, dead=1)),
    "async with": Case(calls.one_held, calls.body, left(2, 3, acked_total=1)),
    "async with, failing": Case(calls.one_held, calls.failing_body, left(1, 2, 3, nacked_total=1)),
    "qsize": Case(calls.three_pending, lambda world: world.queue.qsize(), answers(3, 1, 2, 3)),
    "join": Case(calls.three_pending, calls.join, left(acked_total=3)),
    "resize": Case(calls.three_pending, lambda world: world.queue.resize(9), left(1, 2, 3, maxsize=9)),
    "pause": Case(calls.three_pending, lambda world: world.queue.pause(), left(PAUSED, 1, 2, 3, is_paused=True)),
    "resume": Case(calls.paused, lambda world: world.queue.resume(), left(1, 2, 3, is_paused=False)),
    "cancel": Case(calls.one_known, calls.cancel, answers("asked")),
    "cancel what is held": Case(calls.one_known_held, calls.cancel_and_wait, answers("stopped")),
    "cancel a put that waits": Case(calls.one_waiting, calls.cancel_waiting, answers("removed", 1, 2, 3, 4)),
    "forget": Case(calls.one_known, lambda world: world.queue.forget("one"), answers(True, 1)),  # noqa: FBT003
    "sessions": Case(calls.one_held, lambda world: world.queue.sessions(), two_sessions),
    "drain": Case(calls.one_consumer, lambda world: world.queue.drain(), one_told),
    "shutdown": Case(calls.three_pending, lambda world: world.queue.shutdown(), left(1, 2, 3, is_shut_down=True)),
    "shutdown at once": Case(calls.three_pending, lambda world: world.queue.shutdown(immediate=True), left(dead=3)),
    "reopen": Case(calls.shut, lambda world: world.queue.reopen(), left(1, 2, 3, is_shut_down=False)),
    "dead_letters": Case(calls.one_dead, lambda world: world.queue.dead_letters(), one_letter),
    "replay": Case(calls.one_dead, lambda world: world.queue.replay(), left(2, 3, 1, dead=0, dead_total=1)),
    "discard": Case(calls.one_dead, lambda world: world.queue.discard(), left(2, 3, dead=0, dead_total=1)),
}


@pytest.mark.parametrize("what", CASES)
async def test_a_call_survives_a_break_at_each_of_its_commands(
    url: str, proxy: Proxy, client: Redis, name: str, what: str
) -> None:
    case = CASES[what]
    async with calls.opened(url, proxy.url, client, f"{name}-0") as there:
        await case.prepare(there)
        before = len(proxy.of_session())
        await case.check(there, await case.call(there))
        commands = [command.name for command in proxy.of_session()[before:]]
    assert commands
    for nth, fate in itertools.product(range(1, len(commands) + 1), FATES):
        async with calls.opened(url, proxy.url, client, f"{name}-{nth}-{FATES.index(fate)}") as there:
            await case.prepare(there)
            proxy.drop_nth(nth, fate)
            figures.count("broken connections")
            async with asyncio.timeout(15):
                answer = await case.call(there)
            proxy.judge = lambda _: Fate.PASS
            (await there.census()).check()
            await case.check(there, answer)
            (await there.census()).check()
    figures.count("calls of queues")


@pytest.mark.parametrize("fate", FATES)
async def test_opening_and_closing_a_session_survive_a_break_at_each_command(
    url: str, proxy: Proxy, client: Redis, name: str, fate: Fate
) -> None:
    async with Session.open(url) as past:
        other = Queue(past, name, int)
        count, nth, tried = 10**6, 0, 0
        while nth <= count:
            proxy.commands.clear()
            proxy.drop_nth(nth, fate, lambda _: True)
            await other.put(nth)
            async with asyncio.timeout(40), Session.open(proxy.url) as session:
                queue = Queue(session, name, int)
                held = await queue.get()
                assert held.item == nth
            assert is_lost(held)
            # Given back, by the session itself: nobody has to wait for its deadline.
            async with asyncio.timeout(5), await other.get() as item:
                assert item == nth
            (await take_census(client, name)).check()
            if nth == 0:
                count = len(proxy.commands)
            nth, tried = nth + 1, tried + 1
    assert tried > 5


@pytest.mark.parametrize("fate", FATES)
async def test_what_a_handler_raises_has_one_effect_whichever_command_breaks(
    url: str, proxy: Proxy, client: Redis, name: str, fate: Fate
) -> None:
    async def handle(delivery: Delivery[int]) -> None:
        if delivery.item == 1:
            raise Reject("unwanted")
        if delivery.item == 2:
            raise Retry(after=0.001) from KeyError(str(delivery.failures))

    nth, count = 0, 1
    while nth <= count:
        async with calls.opened(url, proxy.url, client, f"{name}-{nth}") as there:
            await there.other.put_many([1, 2, 3])
            before = len(proxy.of_session())
            if nth:
                proxy.drop_nth(nth, fate)
            rules = {int: Rules(attempts=3, backoff=Backoff(first=0))}
            worker = Worker(there.queue, handle, concurrency=2, rules=rules)
            working = asyncio.create_task(worker.run())
            async with asyncio.timeout(15):
                await there.other.join()
            count = count if nth else len(proxy.of_session()) - before
            proxy.judge = lambda _: Fate.PASS
            await worker.stop(5)
            await working
            letters = {letter.body: letter for letter in await there.other.dead_letters()}
            assert {body: (letter.reason, letter.failures) for body, letter in letters.items()} == {
                b"1": ("unwanted", 0), b"2": ("failed", 3),
            }  # fmt: skip
            assert (letters[b"2"].first_error, letters[b"2"].last_error) == ("KeyError: '0'", "KeyError: '2'")
            statistics = await there.other.statistics()
            assert (statistics.acked_total, statistics.nacked_total, statistics.leased) == (1, 3, 0)
            (await there.census()).check()
        nth += 1
    assert count >= 4


async def test_a_worker_and_a_producer_go_on_while_their_connection_breaks_again_and_again(
    url: str, proxy: Proxy, client: Redis, name: str
) -> None:
    fates = itertools.cycle([Fate.PASS] * 4 + [FATES[0]] + [Fate.PASS] * 5 + [FATES[1]] + [Fate.PASS] * 6 + [FATES[2]])
    proxy.judge = lambda command: next(fates) if command.name in ("put", "settle_and_take") else Fate.PASS
    count = 200
    handled: set[int] = set()

    async def handle(delivery: Delivery[int]) -> None:
        handled.add(delivery.item)
        await asyncio.sleep(0)

    async with calls.opened(url, proxy.url, client, name) as there:
        worker = Worker(there.queue, handle, concurrency=3)
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(100):
            for first in range(0, count, 20):
                await there.queue.put_many(range(first, first + 10))
                await asyncio.gather(*(there.queue.put(number) for number in range(first + 10, first + 20)))
            await there.other.join()
        worker.drain()
        await working
        assert handled == set(range(count))
        statistics = await there.other.statistics()
        assert (statistics.put_total, statistics.acked_total, statistics.dead_total) == (count, count, 0)
        (await there.census()).check()
