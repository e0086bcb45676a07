"""What a process may do when it takes."""

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shared.concurrency import Delivery, StaleDelivery
from tests.instruments.comparison import PICK, PROCESSES, Comparison
from tests.instruments.puts import Entry

WAYS = st.sampled_from(["nack", "ack", "later", "dead", "cancelled"])


class Taking(Comparison):
    """Gets, and all ways to settle what was got."""

    @rule(process=PROCESSES, count=st.integers(min_value=1, max_value=3))
    def get_nowait(self, process: str, count: int) -> None:
        for _ in range(count):
            self.run(self.take_now(process))

    @precondition(lambda self: self.getter is None)
    @rule(process=PROCESSES)
    def get(self, process: str) -> None:
        self.run(self._get(process))

    async def _get(self, process: str) -> None:
        self.getter = process, asyncio.create_task(self.processes[process].queue.get())
        await self.agree()

    @precondition(lambda self: self.getter is not None)
    @rule()
    def cancel_the_get(self) -> None:
        self.run(self._cancel_the_get())

    async def _cancel_the_get(self) -> None:
        assert self.getter is not None
        _, task = self.getter
        self.getter = None
        task.cancel()
        await asyncio.wait({task})
        await self.agree()

    def _holders(self) -> list[tuple[str, int]]:
        return [(word, at) for word, process in self.processes.items() for at in range(len(process.held))]

    @precondition(lambda self: self._holders())
    @rule(picks=st.lists(PICK, min_size=1, max_size=3), how=WAYS)
    def settle(self, picks: list[int], how: str) -> None:
        for pick in picks[: len(self._holders())]:
            word, at = self._holders()[pick % len(self._holders())]
            self.run(self._settle(word, *self.processes[word].held.pop(at), how))

    @precondition(lambda self: self.getter is None)
    @rule(process=PROCESSES, how=WAYS)
    def get_and_settle(self, process: str, how: str) -> None:
        self.run(self.take_now(process))
        if held := self.processes[process].held:
            self.run(self._settle(process, *held.pop(), how))

    async def _settle(self, word: str, entry: Entry, delivery: Delivery[int], how: str) -> None:
        if how == "ack":
            self.model.ack(word, entry)
            await delivery.ack()
        elif how in ("nack", "later"):
            self.reached["a nack that makes a dead letter"] += entry.failures == self.model.max_attempts - 1
            self.model.nack(word, entry, later=how == "later")
            await delivery.nack(delay=600 if how == "later" else 0)
        elif how == "dead":
            self.model.dead_letter(word, entry)
            await delivery.dead_letter("a test")
        else:
            self.model.give_back(word, entry)
            body = asyncio.create_task(_wait_inside(delivery))
            await asyncio.sleep(0)
            body.cancel()
            await asyncio.wait({body})
        with pytest.raises(StaleDelivery):
            await delivery.ack()
        await self.agree()

    @precondition(lambda self: self.model.delayed and self.getter is None)
    @rule()
    def time_passes(self) -> None:
        self.run(self._time_passes())

    async def _time_passes(self) -> None:
        key = f"{{{self.name}}}:delayed"
        # An entry begins with the stamp that orders all messages.
        entries = sorted(await self.client.zrange(key, 0, -1))
        await self.client.zadd(key, {entry: at for at, entry in enumerate(entries, 1)})
        self.model.pass_time()
        await self.agree()


async def _wait_inside(delivery: Delivery[int]) -> None:
    async with delivery:
        await asyncio.Event().wait()
