"""Our queue beside the model: whatever is done to both, they must agree afterwards."""

import asyncio
import contextlib
import itertools
import secrets
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import pytest
import redis.asyncio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from shared.concurrency import Delivery, IdConflict, Queue, QueueEmpty, QueueFull, QueueShutDown, Session, StaleDelivery
from tests.instruments import inside
from tests.instruments.model import CRASHES_AT_MOST, SUSPECT_FROM, Model
from tests.instruments.puts import Entry, Put
from tests.instruments.waiting import until

T = TypeVar("T")

PROCESSES = st.sampled_from(["a", "b"])
PICK = st.integers(min_value=0, max_value=1000)

RAISED: dict[str, type[Exception]] = {"shut": QueueShutDown, "full": QueueFull, "conflict": IdConflict}


class Process:
    """One process: a session, and what it has in hand."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._stack = contextlib.AsyncExitStack()
        self.held: list[tuple[Entry, Delivery[int]]] = []

    async def open(self) -> None:
        self.session = await self._stack.enter_async_context(Session.open(self._url))
        self.queue = Queue(self.session, self._name, int, max_attempts=2)
        await self.queue.statistics()

    async def close(self) -> None:
        await self._stack.aclose()


class Comparison(RuleBasedStateMachine):
    """Two processes at one queue, and the model of it."""

    url = ""
    reached: ClassVar[Counter[str]] = Counter()
    """How often the sequences came to what is rare: a run that never does proves nothing about it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.name = f"m-{secrets.token_hex(6)}"
        self.items = itertools.count(1)
        self.puts: list[tuple[Put, asyncio.Task[Any]]] = []
        self.getter: tuple[str, asyncio.Task[Delivery[int]]] | None = None
        self.lost: list[Delivery[int]] = []
        self.highest = 0
        self.closures = self.steps_closed = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(maxsize=st.integers(min_value=0, max_value=4), crashes=st.integers(min_value=0, max_value=4))
    def begin(self, maxsize: int, crashes: int) -> None:
        """Begin with a message whose holders have crashed so many times."""
        self.model = Model(maxsize, max_attempts=2)
        self.processes = {word: Process(self.url, self.name) for word in "ab"}
        self.run(self._begin(maxsize))
        self.run(self._begin_with_crashes(crashes))

    async def _begin(self, maxsize: int) -> None:
        self.client = redis.asyncio.Redis.from_url(self.url, protocol=3)
        for process in self.processes.values():
            await process.open()
        await self.processes["a"].queue.resize(maxsize)

    async def _begin_with_crashes(self, crashes: int) -> None:
        if crashes:
            entry = Entry(next(self.items))
            self.puts.append((self.model.put("a", [entry]), asyncio.create_task(self._put_one(entry))))
            await self.agree()
        for _ in range(crashes):
            await self.take_now("a")
            await self.crash("a")

    async def _put_one(self, entry: Entry) -> None:
        await self.processes["a"].queue.put(entry.item)

    async def take_now(self, process: str) -> None:
        """Take what there is without waiting."""
        entry = self.model.take(process)
        get = self.processes[process].queue.get_nowait()
        if entry is not None:
            self.hold(process, entry, await get)
        else:
            with pytest.raises(QueueShutDown if self.model.finished else QueueEmpty):
                await get
        await self.agree()

    async def crash(self, word: str) -> None:
        """The session passes its deadline, another process recovers it, and this one hears of it."""
        process, other = self.processes[word], self.processes["b" if word == "a" else "a"]
        for entry, _ in process.held:
            self.reached["a crash of who holds a suspect"] += entry.crashes >= SUSPECT_FROM
            self.reached["a fifth crash"] += entry.crashes == CRASHES_AT_MOST - 1
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

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.run(self._end())
        self.runner.close()

    async def _end(self) -> None:
        tasks: list[asyncio.Task[Any]] = [task for _, task in self.puts]
        if self.getter is not None:
            tasks.append(self.getter[1])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for process in self.processes.values():
            await process.close()
        keys = [key async for key in self.client.scan_iter(match=f"{{{self.name}}}:*", count=1000)]
        if keys:
            await self.client.delete(*keys)
        await self.client.aclose()

    async def agree(self) -> None:
        """Wait until our queue looks like the model; at the deadline, say where it does not."""
        self._serve()
        self.model.check()
        await until(self._difference, lambda difference: not difference)
        for call, task in self.puts:
            if task.done():
                self._check_put(call, task)
        self.puts = [(call, task) for call, task in self.puts if not task.done()]

    def _serve(self) -> None:
        """The get that waits takes what there is."""
        self.served: Entry | None = None
        if self.getter is not None:
            # A take that finds only suspects among what is due sets them aside, and another follows at once.
            for _ in range(len(self.model.due) + 1):
                self.served = self.served or self.model.take(self.getter[0])

    async def _difference(self) -> dict[str, tuple[Any, Any]]:
        model, seen = self.model, await self.processes["a"].queue.statistics()
        self.highest = seen.pending
        expected = {
            "pending": len(model.pending),
            "leased": model.held,
            "delayed": model.waiting,
            "dead": len(model.dead),
            "puts_waiting": len(model.line),
            "maxsize": model.maxsize,
            "is_shut_down": model.shut,
            "is_paused": model.paused,
        }
        totals = ("put_total", "acked_total", "nacked_total", "dead_total", "recovered_total")
        expected |= {word: getattr(model, word) for word in totals}
        different = {word: (getattr(seen, word), value) for word, value in expected.items()}
        different = {word: pair for word, pair in different.items() if pair[0] != pair[1]}
        for call, task in self.puts:
            if task.done() == call.waiting:
                different[f"put of {[entry.item for entry in call.entries]}"] = (task.done(), not call.waiting)
        if self.getter is not None:
            over = self.served is not None or model.finished
            if self.getter[1].done() != over:
                different["the get that waits"] = (self.getter[1].done(), over)
            elif over and not different:
                self._take_in(*self.getter)
        return different

    def _take_in(self, process: str, task: "asyncio.Task[Delivery[int]]") -> None:
        self.getter = None
        if self.served is None:
            assert isinstance(task.exception(), QueueShutDown)
        else:
            self.hold(process, self.served, task.result())

    def hold(self, process: str, entry: Entry, delivery: Delivery[int]) -> None:
        assert (delivery.item, delivery.attempt) == (entry.item, entry.hand_outs + 1)
        self.processes[process].held.append((entry, delivery))
        self.reached["a take of a suspect"] += entry.crashes >= SUSPECT_FROM
        self.reached["a take of what was delayed"] += entry.was_delayed

    @staticmethod
    def _check_put(call: Put, task: "asyncio.Task[object]") -> None:
        refused = [RAISED[verdict] for verdict in call.verdicts if verdict in RAISED]
        error = task.exception()
        assert type(error) in refused if refused else error is None
        if not refused:
            # put_many says nothing; put says whether it added.
            assert task.result() in (None, "known" not in call.verdicts)

    @invariant()
    def the_bound_holds(self) -> None:
        if hasattr(self, "model") and self.model.maxsize:
            assert self.highest <= max(self.model.maxsize, len(self.model.pending))
