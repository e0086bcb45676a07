"""Any sequence of calls leaves our queue as the model says: Hypothesis makes the sequences."""

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from shared.concurrency import ConcurrencyError, Queue, QueueShutDown
from tests.instruments import figures
from tests.instruments.chance import SEED
from tests.instruments.comparison import PROCESSES
from tests.instruments.putting import Putting
from tests.instruments.taking import Taking


class QueueMachine(Putting, Taking):
    """All that may be done to a queue, and to the sessions at it."""

    # --- sessions ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(process.held for process in self.processes.values()))
    @rule(word=PROCESSES)
    def crash_a_session(self, word: str) -> None:
        self.run(self.crash(word if self.processes[word].held else "b" if word == "a" else "a"))

    @precondition(lambda self: self.puts or any(process.held for process in self.processes.values()))
    @rule(word=PROCESSES)
    def close_a_session(self, word: str) -> None:
        self.run(self._close_and_open(word))

    async def _close_and_open(self, word: str) -> None:
        process = self.processes[word]
        failed = self.model.close(word)
        self.reached["a close with puts in line"] += bool(failed)
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

    @precondition(lambda self: not self.model.shut and self.closures < 2)  # little happens at a closed queue
    @rule(process=PROCESSES, immediate=st.booleans())
    def shutdown(self, process: str, immediate: bool) -> None:  # noqa: FBT001  # Hypothesis calls it
        self.closures += 1
        self.model.shutdown(immediate=immediate)
        self.run(self._call(self.processes[process].queue.shutdown(immediate)))

    @precondition(lambda self: self.model.shut)
    @rule(process=PROCESSES)
    def reopen(self, process: str) -> None:
        self.model.reopen()
        self.run(self._call(self.processes[process].queue.reopen()))

    @precondition(lambda self: not self.model.paused and self.closures < 2)
    @rule(process=PROCESSES)
    def pause(self, process: str) -> None:
        self.closures += 1
        self.model.paused = True
        self.run(self._call(self.processes[process].queue.pause()))

    @precondition(lambda self: self.model.paused)
    @rule(process=PROCESSES)
    def resume(self, process: str) -> None:
        self.model.paused = False
        self.run(self._call(self.processes[process].queue.resume()))

    @invariant()
    def it_is_opened_again_after_three_steps(self) -> None:
        if not hasattr(self, "model") or not (self.model.shut or self.model.paused):
            self.steps_closed = 0
            return
        self.steps_closed += 1
        if self.steps_closed > 3:  # the first look comes with the step that closed it
            if self.model.paused:
                self.resume("b")
            if self.model.shut:
                self.reopen("b")

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
            self.reached["a replay behind a line"] += bool(self.model.line)
            back = self.model.replay(order)
            self.reached["a replay of some"] += 0 < back < len(order)
            assert await queue.replay() == back
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


RARE = [
    "a take of a suspect", "a crash of who holds a suspect", "a fifth crash", "a nack that makes a dead letter",
    "a take of what was delayed", "a replay of some", "a replay behind a line", "a close with puts in line",
]  # fmt: skip


def compare(url: str, chosen_seed: int | None = None, **chosen: Any) -> Counter[str]:
    """Run sequences; how often they came to what is rare."""
    reached: Counter[str] = Counter()
    # Not shrunk: a difference shows after a deadline only, and shrinking meets thousands of them.
    machine = type("Machine", (QueueMachine,), {"url": url, "reached": reached})
    run_state_machine_as_test(
        machine if chosen_seed is None else seed(chosen_seed)(machine),
        settings=settings(
            deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None, **chosen
        ),
    )
    figures.count("sequences compared", chosen["max_examples"])
    return reached


def test_a_get_that_waits_is_served_a_suspect_that_is_due(url: str) -> None:
    machine = type("Machine", (QueueMachine,), {"url": url})()
    machine.begin(maxsize=3, crashes=3)
    machine.get_and_settle(process="a", how="later")
    machine.time_passes()
    machine.get(process="a")
    served = machine.processes["a"].held
    machine.teardown()
    assert [delivery.attempt for _, delivery in served] == [5]


@pytest.mark.timing
@pytest.mark.timeout(300)
def test_any_sequence_of_calls_leaves_the_queue_as_the_model_says(url: str) -> None:
    reached = compare(url, max_examples=80, stateful_step_count=40, derandomize=True)
    assert {word for word in RARE if not reached[word]} == set()


@pytest.mark.skipif("WEIR_CAMPAIGN_MODEL" not in os.environ, reason="a campaign: ./run campaign model")
@pytest.mark.timeout(3600)
def test_any_sequence_from_a_seed_of_today_leaves_it_so_too(url: str) -> None:
    reached = compare(url, SEED, max_examples=int(os.environ["WEIR_CAMPAIGN_MODEL"]), stateful_step_count=60)
    assert {word for word in RARE if not reached[word]} == set()
