"""Any sequence of calls leaves our queue as the model says: Hypothesis makes the sequences."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from shared.concurrency import ConcurrencyError, Queue, QueueShutDown, StaleDelivery
from tests.instruments import inside
from tests.instruments.comparison import PROCESSES
from tests.instruments.putting import Putting
from tests.instruments.taking import Taking


class QueueMachine(Putting, Taking):
    """All that may be done to a queue, and to the sessions at it."""

    # --- sessions ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.puts or any(process.held for process in self.processes.values()))
    @rule(word=PROCESSES, crash=st.booleans())
    def end_a_session(self, word: str, crash: bool) -> None:  # noqa: FBT001  # Hypothesis calls it
        if not self.processes[word].held:
            word = "b" if word == "a" else "a"
        self.run(self._crash(word) if crash else self._close_and_open(word))

    async def _crash(self, word: str) -> None:
        """The session passes its deadline, another process recovers it, and this one hears of it."""
        process, other = self.processes[word], self.processes["b" if word == "a" else "a"]
        dead = inside.session_id_of(process.session, self.name)
        await self.client.zadd(f"{{{self.name}}}:sessions", {dead: 1}, xx=True)
        await inside.recover(other.session, self.name, dead)
        inside.pass_deadline(process.session, self.name)
        self.model.crash(word)
        gone, process.held = process.held, []
        for _, delivery in gone:
            with pytest.raises(StaleDelivery):
                await delivery.ack()
        await process.queue.statistics()
        await self.agree()

    async def _close_and_open(self, word: str) -> None:
        process = self.processes[word]
        failed = self.model.close(word)
        if self.getter is not None and self.getter[0] == word:
            failed_get = self.getter[1]
            self.getter = None
        else:
            failed_get = None
        await process.close()
        tasks = [task for call, task in self.puts if call in failed]
        self.puts = [(call, task) for call, task in self.puts if call not in failed]
        for error in await asyncio.gather(*tasks, *([failed_get] if failed_get else []), return_exceptions=True):
            assert isinstance(error, ConcurrencyError)
        process.held = []
        await process.open()
        await self.agree()

    # --- the queue as a whole ---------------------------------------------------------------------------------------

    @rule(process=PROCESSES, maxsize=st.integers(min_value=0, max_value=4))
    def resize(self, process: str, maxsize: int) -> None:
        self.model.resize(maxsize)
        self.run(self._call(self.processes[process].queue.resize(maxsize)))

    @precondition(lambda self: not self.model.shut)
    @rule(process=PROCESSES, immediate=st.booleans())
    def shutdown(self, process: str, immediate: bool) -> None:  # noqa: FBT001  # Hypothesis calls it
        self.model.shutdown(immediate=immediate)
        self.run(self._call(self.processes[process].queue.shutdown(immediate)))

    @precondition(lambda self: self.model.shut)
    @rule(process=PROCESSES)
    def reopen(self, process: str) -> None:
        self.model.shut = False
        self.run(self._call(self.processes[process].queue.reopen()))

    @precondition(lambda self: not self.model.paused and self.pauses < 2)  # little happens at a paused queue
    @rule(process=PROCESSES)
    def pause(self, process: str) -> None:
        self.pauses += 1
        self.model.paused = True
        self.run(self._call(self.processes[process].queue.pause()))

    @precondition(lambda self: self.model.paused)
    @rule(process=PROCESSES)
    def resume(self, process: str) -> None:
        self.model.paused = False
        self.run(self._call(self.processes[process].queue.resume()))

    async def _call(self, call: Coroutine[Any, Any, None]) -> None:
        await call
        await self.agree()

    @precondition(lambda self: self.model.dead)
    @rule(process=PROCESSES)
    def replay(self, process: str) -> None:
        self.run(self._replay(self.processes[process].queue))

    async def _replay(self, queue: Queue[int]) -> None:
        order = [int(letter.body) for letter in await queue.dead_letters()]
        assert sorted(order) == sorted(entry.item for entry in self.model.dead)
        if self.model.shut:
            with pytest.raises(QueueShutDown):
                await queue.replay()
        else:
            assert await queue.replay() == self.model.replay(order)
        await self.agree()
        if self.getter is None:
            await self.take_now("a")

    @precondition(lambda self: self.model.dead)
    @rule(process=PROCESSES)
    def discard(self, process: str) -> None:
        count = len(self.model.dead)
        self.model.dead.clear()
        assert self.run(self.processes[process].queue.discard()) == count
        self.run(self.agree())


@pytest.mark.timeout(300)
def test_any_sequence_of_calls_leaves_the_queue_as_the_model_says(url: str) -> None:
    # Not shrunk: a difference shows after a deadline only, and shrinking meets thousands of them.
    machine = type("Machine", (QueueMachine,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=80, stateful_step_count=40, deadline=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
