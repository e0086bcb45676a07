"""The workload of names: messages of which one at most waits under a name, replaced by what is put while it waits.

What was put last under a name is handed out after it was put, whatever is killed, stopped, cut off or cancelled; never
do two of a name wait that nobody had; the names that the server knows are those of what waits. At rest it knows none.
"""

import asyncio
import contextlib
import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from shared.concurrency import Cancellation, Delivery, MessageCancelled, Priority, Queue, StaleDelivery
from tests.simulation.consuming import Consuming
from tests.simulation.server import Server
from tests.simulation.workload import Workload
from tests.simulation.world import Process, World

_MESSAGES = 120
_FORWARDED = 1000
"""Numbers from here on travelled with an acknowledgement."""
_PLAIN = 1_000_000
"""Numbers from here on are put without a name."""
_NEVER_HANDED_OUT = b"0000000000"
_FLOWS = b"fgtu"


@dataclass
class _Put:
    """A put under a name."""

    name: str
    began: float
    returned: float = math.inf
    """Infinite: nobody knows whether it went in."""
    handed_out: list[float] = field(default_factory=list)


class Once(Consuming):
    """Producers and consumers of one bounded queue, and a process that cancels names."""

    name = "once"
    withstands = Workload.withstands

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        super().__init__(world, ttl)
        self._max_crashes = None
        self._maxsize = world.rng.choice([1, 2, 5, 20])
        self._names = [f"n{number}" for number in range(world.rng.choice([1, 3, 8]))]
        self._cancels = world.rng.choice([False, False, True])
        self._messages = world.plan.most(_MESSAGES)
        self._numbers = iter(range(self._messages))
        self._ended = 0
        self._puts: dict[int, _Put] = {}
        self._cancelled: dict[str, float] = {}
        """Name -> when the last call that cancelled it returned."""
        self._replaced = 0
        self._of_names: Counter[str] = Counter()
        self.more_faults = [Server(world).restart]
        world.checks.append(self._look_at_the_names)
        self._forwards = world.rng.choice([False, True])
        """Whether the consumers put as well: again, with their acknowledgements."""
        self._forwarded = itertools.count(_FORWARDED)
        self._producers = [world.start(f"producer{n}", self._produce) for n in range(world.plan.actors_of(2))]
        self._start_consumers(3)
        self._others = [world.start("canceller", self._cancel)] if self._cancels else []

    def _look_at_the_names(self) -> None:
        keys = self._keys
        # In one trip: this is asked after every command.
        marks, stored, *found = self.world.control.calls(
            ("ZRANGE", keys["marks"], 0, -1),
            ("HKEYS", keys["once"]),
            *(("LRANGE", keys[word], 0, -1) for word in ("pending", "released")),
            ("HVALS", keys["behind"]),
            *(("ZRANGE", keys[word], 0, -1) for word in ("delayed", "ready")),
        )
        waiting, marked = [entry for entries in found for entry in entries], set(marks)
        names: Counter[str] = Counter()
        for entry in waiting:
            if entry[38:48] == _NEVER_HANDED_OUT and entry[48] in _FLOWS and entry[16:38] not in marked:
                names[entry[52:].partition(b'"flow":"')[2].partition(b'"')[0].split(b" ")[4].decode()] += 1
        names.pop("", None)
        known = {word.decode() for word in stored}
        known = {word for word in known if word[0] not in "=#"}
        if max(names.values(), default=1) > 1 or set(names) != known:
            self.failures.append(f"{dict(names)} wait, and the names are {sorted(known)}")

    # --- the processes ----------------------------------------------------------------------------------------------

    async def _produce(self, process: Process) -> None:
        async with self.session(process) as session:
            queue = Queue(session, "q", int, maxsize=self._maxsize, max_attempts=999, max_crashes=None)
            await asyncio.gather(*(self._put_some(queue) for _ in range(self.world.rng.choice([1, 4]))))

    async def _put_some(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        for number in self._numbers:
            try:
                async with asyncio.timeout(rng.random() * 0.05 if rng.random() < 0.15 else None):
                    if rng.random() < 0.3:
                        await queue.put(_PLAIN + number)
                    else:
                        await self._put_one(queue, number)
            except (TimeoutError, MessageCancelled):
                pass
            finally:
                self._ended += 1
            await asyncio.sleep(rng.expovariate(50))

    async def _put_one(self, queue: Queue[int], number: int) -> None:
        rng = self.world.rng
        name = rng.choice(self._names)
        put = self._puts[number] = _Put(name, self.world.now)
        await queue.put_unique(number, name, replace=True, **self._asked(name))
        put.returned = self.world.now

    def _asked(self, name: str) -> dict[str, Any]:
        rng = self.world.rng
        asked: dict[str, Any] = {"key": rng.choice([None, name])}
        if rng.random() < 0.3:
            asked |= {"share": rng.choice(["one", "other"]), "priority": rng.choice(list(Priority))}
        if rng.random() < 0.3:
            asked |= {"calm": rng.choice([0.001, 0.1, 1.0]), "longest": rng.choice([1.0, 5.0])}
        return asked

    async def _get_all(self, queue: Queue[int]) -> None:
        rng = self.world.rng
        while True:
            delivery = await queue.get()
            if delivery.item < _PLAIN:
                self._puts[delivery.item].handed_out.append(self.world.now)
            with contextlib.suppress(StaleDelivery, MessageCancelled):
                async with delivery:
                    await asyncio.sleep(rng.expovariate(20))
                    if rng.random() < 0.1:
                        await delivery.nack(delay=rng.choice([0.0, 0.05]))
                    elif self._forwards and rng.random() < 0.4:
                        await self._forward_some(queue, delivery)

    async def _forward_some(self, queue: Queue[int], delivery: Delivery[int]) -> None:
        """Acknowledge with puts of names; which returned with the acknowledgement."""
        rng, puts = self.world.rng, list[_Put]()
        if self.is_calm():
            return
        for _ in range(rng.choice([1, 1, 3])):
            number, name = next(self._forwarded), rng.choice(self._names)
            puts.append(_Put(name, self.world.now))
            self._puts[number] = puts[-1]
            delivery.effects.put_unique(queue, number, name, replace=True, **self._asked(name))
        await delivery.ack()
        last = {put.name: put for put in puts}  # of one step, the last of a name is the newest
        for put in last.values():
            put.returned = self.world.now

    async def _cancel(self, process: Process) -> None:
        rng = self.world.rng
        async with self.session(process) as session:
            queue = Queue(session, "q", int)
            while not self.is_calm():
                await asyncio.sleep(rng.expovariate(5))
                name = rng.choice(self._names)
                self._cancelled[name] = math.inf
                if await queue.cancel_unique(name, timeout=rng.choice([0.0, 0.5])) is not Cancellation.UNKNOWN:
                    self._of_names[name] += 1
                self._cancelled[name] = self.world.now

    # --- what the run asks ------------------------------------------------------------------------------------------

    def is_calm(self) -> bool:
        """Everything was put, or withdrawn."""
        return self._ended >= self._messages

    def has_ended(self) -> bool:
        """Everything was put and settled, and those who put and cancel have left."""
        return self.is_calm() and all(one.is_finished for one in (*self._producers, *self._others))

    def look_at_rest(self) -> None:
        """No update is lost, and no name is left."""
        call, keys = self.world.control.call, self._keys
        if letters := call("HVALS", keys["dead"]):
            self.failures.append(f"dead letters, and none was to be: {letters[:2]!r}")
        self._replaced = int(call("HGET", keys["totals"], "replaced") or 0)
        there = [
            word
            for word in ("once", "line_own", "tails", "behind", "ready", "line_fair", "tags")
            if call("EXISTS", keys[word])
        ]
        if there:
            self.failures.append(f"at rest there is something in {there}")
        lost = [number for number, put in self._puts.items() if put.returned < math.inf and not self._is_handled(put)]
        if lost:
            self.failures.append(f"lost {lost[:5]} of {self._puts[lost[0]].name}")

    def _is_handled(self, put: _Put) -> bool:
        """Whether it, or one that was put later or at the same time, was handed out after it was put."""
        if self._cancelled.get(put.name, -1.0) >= put.began:
            return True
        return any(
            other.returned >= put.began and any(when >= put.began for when in other.handed_out)
            for other in self._puts.values()
            if other.name == put.name
        )

    def details(self) -> str:
        """The bound, and what became of the puts."""
        returned = sum(put.returned < math.inf for put in self._puts.values())
        handed_out = sum(bool(put.handed_out) for put in self._puts.values())
        return (
            f"maxsize {self._maxsize} names {len(self._names)} put {returned} handed out {handed_out} "
            f"replaced {self._replaced} cancelled {sum(self._of_names.values())}"
        )
