"""The lane that all rooms stand on: one call in flight, numbered; nobody who waits is forgotten, whatever ends it."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import ClassVar

import pytest

from shared.concurrency import ConcurrencyError, Queue, Session
from shared.concurrency.queues.membership.lane import Lane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.queue import participant_of
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import load

Waiter = tuple[str, asyncio.Future[int]]


class Room(Lane[list[Waiter]]):
    """Answers each waiter with the number of the call that carried it; what is called `defect` breaks it."""

    NAME: ClassVar = "weir-room"

    def __init__(self, member: Membership) -> None:
        super().__init__(member)
        self.waiting: list[Waiter] = []
        self.looked = asyncio.Event()
        self.look_at: float | None = None

    def ask(self, what: str) -> asyncio.Future[int]:
        answer: asyncio.Future[int] = self._loop.create_future()
        self.waiting.append((what, answer))
        self.kick()
        return answer

    def due(self) -> float | None:
        if self.waiting:
            return self.pause.left()
        return None if self.look_at is None else max(0, self.look_at - self._loop.time())

    def is_unsent(self) -> bool:
        return bool(self.waiting)

    def compose(self) -> list[Waiter]:
        call, self.waiting = self.waiting, []
        if not call:
            self.look_at = None
            self.looked.set()
        return call

    async def send(self, call: list[Waiter]) -> None:
        number = self.number()
        at_reply = partial(self._take_answer, call, number)
        await self._member.calls.insist(Call(load("statistics"), self._member.keys, at_reply=at_reply))
        if any(what == "defect" for what, _ in call):
            raise ZeroDivisionError
        if any(what == "refused" for what, _ in call):
            raise ConcurrencyError("refused")

    @staticmethod
    def _take_answer(call: list[Waiter], number: int, _: object) -> None:
        for what, answer in call:
            if what == "answer" and not answer.done():
                answer.set_result(number)

    def fail(self, call: list[Waiter] | None, error: Exception) -> None:
        for _, answer in (*(call or ()), *self.waiting):
            if not answer.done():
                answer.set_exception(error)
        self.waiting.clear()


@pytest.fixture
async def room(url: str, name: str) -> AsyncIterator[Room]:
    async with Session.open(url) as session:
        room = Room(participant_of(Queue(session, name, int)).member)
        assert await room.ask("answer") == 1  # it is registered and at rest
        yield room
        await room.stop()


async def test_what_comes_while_a_call_is_in_flight_goes_together_in_the_next_one(room: Room) -> None:
    first = room.ask("answer")
    await asyncio.sleep(0)
    later = [room.ask("answer") for _ in range(3)]
    assert [await first, *(await asyncio.gather(*later))] == [2, 3, 3, 3]


async def test_flush_waits_for_what_is_in_flight_and_for_what_waits(room: Room) -> None:
    first = room.ask("answer")
    await asyncio.sleep(0)
    second = room.ask("answer")
    await room.flush()
    assert (first.result(), second.result()) == (2, 3)
    await room.flush()


async def test_a_refusal_fails_who_waits_and_the_lane_goes_on(room: Room) -> None:
    with pytest.raises(ConcurrencyError, match="refused"):
        await room.ask("refused")
    assert await room.ask("answer") == 3


async def test_a_defect_fails_who_waits_and_the_next_kick_begins_again(room: Room) -> None:
    broken, flushed = room.ask("defect"), asyncio.create_task(room.flush())
    await asyncio.sleep(0)
    behind = room.ask("answer")
    for waiter in (broken, behind):
        with pytest.raises(ZeroDivisionError):
            await waiter
    await flushed
    assert await room.ask("answer") == 3


async def test_the_end_fails_who_waits_and_nothing_begins_again(room: Room) -> None:
    sent = room.ask("never answered")
    await asyncio.sleep(0)
    waiting = room.ask("answer")
    await room.stop()
    for waiter in (sent, waiting):
        with pytest.raises(ConcurrencyError, match="closed"):
            await waiter
    assert not room.kick()
    await room.flush()


async def test_a_timer_that_is_set_for_later_gives_way_to_an_earlier_one(room: Room) -> None:
    for seconds in (60.0, 0.01):
        room.look_at = asyncio.get_running_loop().time() + seconds
        assert not room.kick()
    async with asyncio.timeout(5):
        await room.looked.wait()


async def test_a_pause_is_over_by_itself(room: Room) -> None:
    room.pause.begin(0.05)
    began = asyncio.get_running_loop().time()
    assert await room.ask("answer") == 2
    assert asyncio.get_running_loop().time() - began >= 0.045


async def test_pauses_while_memory_is_full_double_up_to_a_second(room: Room) -> None:
    assert [room.pause.memory_is_full() for _ in range(6)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
    room.pause.memory_has_room()
    assert room.pause.memory_is_full() == 0.05
