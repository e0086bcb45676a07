"""The workload of results: messages are submitted, under ids and without, by processes that are killed and stopped.

Futures are cancelled, several processes submit and ask under one id, consumers are killed and say no. Each future ends
once: with the result that the server wrote in the step of the acknowledgement, or with its own error, or as lost where
the server has lost data. Nobody waits for what has ended, and no outcome is kept that somebody who lives has received.
"""

import asyncio
from collections import Counter
from typing import Any, Final

from shared.concurrency import Delivery, Queue, RemoteError, ResultFuture, ResultLost, Session, StaleDelivery, UnknownId
from shared.concurrency.queues.membership.keys import queue_keys
from tests.simulation.answers import Answers
from tests.simulation.contents import Contents
from tests.simulation.resting import Resting
from tests.simulation.server import Server
from tests.simulation.workload import COUNTED
from tests.simulation.world import Process, World

_MESSAGES: Final = 60
_ANSWERS: Final = "{q}:answers"
_COUNTS: Final = "{q}:counts"


class Results(Resting):
    """Submitters, listeners and consumers of one bounded queue; all of them may be killed."""

    name = "results"
    withstands = COUNTED

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        rng = world.rng
        self._maxsize = rng.choice([1, 3, 20, 0])
        self._kept_for = rng.choice([10.0, 10.0, 600.0])
        """Who is stopped again and again loses what is kept for ten seconds."""
        self._messages = world.plan.most(_MESSAGES)
        self._numbers = iter(range(self._messages))
        self._answers = Answers()
        self._submitted: list[int] = []
        self._ends: Counter[str] = Counter()
        self._at_work: set[Process] = set()
        """Who submits, or waits for futures."""
        self._begun: dict[Process, set[int]] = {}
        self._alone: dict[Process, dict[bytes, int]] = {}
        """Keys of the messages without an id, of those who live -> how often the server had lost data before."""
        self._server = Server(world)
        self.more_faults = [self._server.restart, self._server.fill_memory]
        few = range(world.plan.actors_of(2))
        for n in few:
            self.start(f"submitter{n}", self._submit)
        self.start("mortal", self._submit, may_die=True)
        self.start("listener", self._listen)
        for n in few:
            self.start(f"consumer{n}", self._consume, may_die=True)

    def _queue(self, session: Session) -> Queue[int]:
        return Queue(
            session, "q", int, maxsize=self._maxsize, max_attempts=2, max_crashes=None,
            result=str, results_for=self._kept_for,
        )  # fmt: skip

    def replace(self, killed: Process) -> None:
        """Another one; nobody knows what became of what a submitter was about to submit."""
        self._answers.unwanted |= self._begun.get(killed, set())
        self._at_work.discard(killed)
        self._alone.pop(killed, None)
        super().replace(killed)

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _stay(self, process: Process) -> None:
        """Until all is done: what an idle process keeps is looked at then."""
        self._at_work.discard(process)
        await self.closing()

    async def _submit(self, process: Process) -> None:
        self._at_work.add(process)
        self._begun[process], self._alone[process] = set(), {}
        async with self.session(process) as session:
            queue, waiting = self._queue(session), list[asyncio.Task[None]]()
            await asyncio.gather(*(self._submit_some(process, queue, waiting) for _ in range(3)))
            await asyncio.gather(*waiting)
            await self._stay(process)

    async def _submit_some(self, process: Process, queue: Queue[int], waiting: "list[asyncio.Task[None]]") -> None:
        rng = self.world.rng
        for number in self._numbers:
            self._begun[process].add(number)
            # Twice, as whoever repeats what failed: the second future is of the same message.
            for _ in range(2 if number % 3 == 0 else 1):
                id_ = f"n{number}" if number % 3 != 1 else None
                losses = self._losses
                try:
                    async with asyncio.timeout(rng.random() * 0.1 if rng.random() < 0.1 else None):
                        future = await queue.submit(number, id=id_, on_progress=self._look_at_progress)
                except TimeoutError:
                    self._answers.unwanted.add(number)
                    continue
                if id_ is None:
                    self._alone[process][future.id.encode()] = losses
                else:
                    self._submitted.append(number)
                    if number % 2:
                        await self._ask(queue, number, waiting)  # who submitted it may ask for it, too
                if rng.random() < 0.15:
                    await asyncio.sleep(rng.random() * 0.1)
                    if future.cancel():
                        self._answers.unwanted.add(number)
                        continue
                waiting.append(asyncio.create_task(self._await(number, future, losses)))
            await asyncio.sleep(rng.expovariate(20))

    async def _listen(self, process: Process) -> None:
        rng = self.world.rng
        self._at_work.add(process)
        async with self.session(process) as session:
            queue, waiting = self._queue(session), list[asyncio.Task[None]]()
            while len(self._at_work) > 1:
                await asyncio.sleep(rng.expovariate(5))
                if not self._submitted:
                    continue
                await self._ask(queue, rng.choice(self._submitted), waiting)
            await asyncio.gather(*waiting)
            await self._stay(process)

    async def _ask(self, queue: Queue[int], number: int, waiting: "list[asyncio.Task[None]]") -> None:
        losses = self._losses
        try:
            future = await queue.result(f"n{number}")
        except UnknownId:
            if not self._answers.may_be_unknown(number):
                self.failures.append(f"the id of {number} is unknown, and its submit has returned")
            return
        if self.world.rng.random() < 0.2:
            future.cancel()  # it only stops listening
        else:
            waiting.append(asyncio.create_task(self._await(number, future, losses)))

    def _look_at_progress(self, fraction: float, text: str) -> None:
        if not (0 <= fraction <= 1 and text.isdigit()):
            self.failures.append(f"a progress of {fraction} {text!r}")
        self._ends["progress"] += 1

    async def _await(self, number: int, future: ResultFuture[Any], losses: int) -> None:
        """Its end. `losses`: how often the server had lost data when it was asked for."""
        try:
            answer = str(await future)
        except RemoteError as error:
            answer = f"!{error.reason}"
        except ResultLost:
            self._ends["lost"] += 1
            self._answers.kept.add(future.id.encode())
            self._answers.unwanted.add(number)
            is_kept = self._kept_for > self.world.now + self.world.leaps
            if is_kept and (losses == self._losses or (losses + 1 == self._losses and number in self._answers.there)):
                self.failures.append(f"the result of {number} is lost, and was kept for {self._kept_for} s")
            return
        self._ends[answer.partition(" ")[0]] += 1
        if answer == "!cancelled" and number in self._answers.unwanted:
            return
        if wrong := self._answers.give(number, answer):
            self.failures.append(wrong)
        if (answer[:1] == "!") != _is_refused(number) or answer not in (f"!{_refusal(number)}", f"= {answer[2:]}"):
            self.failures.append(f"{number} was answered {answer!r}")

    async def _consume(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = self._queue(session)
            await asyncio.gather(*(self._get_all(queue) for _ in range(self.world.rng.choice([1, 3]))))

    async def _get_all(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while not self.is_closing:
            try:
                async with asyncio.timeout(0.5):
                    delivery = await queue.get()
            except TimeoutError:
                continue
            try:
                if rng.random() < 0.3:
                    await delivery.progress(rng.random(), str(delivery.item))
                    await asyncio.sleep(rng.expovariate(20))
                await self._settle(delivery)
            except StaleDelivery:
                pass

    async def _settle(self, delivery: Delivery[int]) -> None:
        number, rng = delivery.item, self.world.rng
        if _refusal(number) == "failed":
            await delivery.nack(delay=rng.choice([0.0, 0.05]))
        elif _is_refused(number):
            await delivery.dead_letter(_refusal(number))
        else:
            answer = f"= {number} {rng.random():.6f}"
            if rng.random() < 0.5:
                delivery.effects.hset(_ANSWERS, str(number), answer)
                delivery.effects.hincrby(_COUNTS, str(number))
            await delivery.ack(answer)

    # --- what the run asks ------------------------------------------------------------------------------------------

    @property
    def _losses(self) -> int:
        return self.forgiven["q"].losses

    def lost(self, name: str, before: Contents, after: Contents) -> None:  # noqa: ARG002
        """What is there comes again; of the rest some ids are known, and some are not."""
        known = {int(id_[1:]) for id_ in self.world.control.call("HKEYS", queue_keys(name)["ids"])}
        begun = set().union(*self._begun.values())
        self._answers.there = after.there | after.held
        self._answers.lose(begun, after.done, known)

    def is_calm(self) -> bool:
        """All but the last was begun."""
        return sum(map(len, self._begun.values())) >= self._messages

    def has_ended(self) -> bool:
        """Every future has ended, and those who waited for them have left."""
        return self.is_calm() and not self._at_work

    def look_at_rest(self) -> None:
        """What was received is what was written, once; no outcome is kept for who has it."""
        call, keys = self.world.control.call, queue_keys("q")
        flat = call("HGETALL", _ANSWERS)
        for number, answer in zip(flat[::2], flat[1::2], strict=True):
            if int(number) in self._answers.given and (wrong := self._answers.give(int(number), answer.decode())):
                self.failures.append(f"{wrong} is written")
        if twice := [count for count in call("HVALS", _COUNTS) if count != b"1"]:
            self.failures.append(f"{len(twice)} effects not once")
        lost = set(range(self._messages)) - set(self._answers.given) - self._answers.unwanted
        if lost:
            self.failures.append(f"no future of {sorted(lost)[:5]} has ended")
        kept = set(call("HKEYS", keys["results"]))
        # What comes again after a loss of data is kept for its time; under an id each is for as long as that is known.
        living = {key for each in self._alone.values() for key, losses in each.items() if losses == self._losses}
        if left := sorted((kept & living) - self._answers.kept):
            self.failures.append(f"outcomes are kept for who has them: {left[:3]}")
        if kept != set(call("ZRANGE", keys["results_due"], 0, -1)):
            self.failures.append("an outcome has no time to go, or a time has no outcome")

    def details(self) -> str:
        """The bound, and how the futures ended."""
        return (
            f"maxsize {self._maxsize} unwanted {len(self._answers.unwanted)} {dict(sorted(self._ends.items()))} restarts {self._server.restarts} "
            f"full {self._server.full} losses {self._losses} {super().details()}"
        )


def _refusal(number: int) -> str:
    return {3: "not this", 4: "failed"}.get(number % 10, "")


def _is_refused(number: int) -> bool:
    return _refusal(number) != ""
