"""The world: it owns time, the network, every process and every crash, from one seed."""

import asyncio
import hashlib
import heapq
import math
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from tests.simulation.loops import Loop
from tests.simulation.network import Control, Link
from tests.simulation.plan import Plan


class Process:
    """A process: the loop of its tasks, and the loop that stands for its heartbeat's thread."""

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        """Begin without tasks; the world turns it."""
        self.name = name
        self.loops = self.loop, self.thread = Loop(now), Loop(now)
        self.is_dead = False
        self.stopped_until = 0.0
        self.blocked_until = 0.0
        """Until when the loop of its tasks does not turn, though the other one does."""
        self.links: list[Link] = []
        self.task: asyncio.Task[None]

    @property
    def is_finished(self) -> bool:
        """Whether its task has ended by itself."""
        return not self.is_dead and self.task.done()

    @property
    def problem(self) -> BaseException | None:
        """What ended its task, when that was an error."""
        if not self.is_finished or self.task.cancelled():
            return None
        return self.task.exception()


class World:
    """One run from one seed. `step` makes one thing happen; the same seed makes the same things happen."""

    current: Process
    """The process whose code runs now."""

    def __init__(self, seed: int, path: str, plan: Plan) -> None:
        """`path`: the socket of a server that is empty."""
        self.plan = plan
        self.rng = random.Random(seed)  # noqa: S311  # a seed, no secret
        self.now = 0.0
        self.calls = self.steps = 0
        self.processes: list[Process] = []
        self._living: list[Process] = []
        self.checks: list[Callable[[], None]] = []
        """Called after each command."""
        self.last_command = self.last_answer = b""
        """What was run last, and what the server answered, as bytes; for checks."""
        self.cuts = 0.0
        """How probable it is that a connection breaks at a packet."""
        self.mean_delay = 0.001
        self.down_until = 0.0
        """Until when the server cannot be reached."""
        self.clock_off = 0.0
        """By how much the server's clock is wrong."""
        self.leaps = 0.0
        """By how much it was set ahead, in all."""
        self.control = Control(path)
        self._path = path
        self._sequence = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._trace = hashlib.blake2b(digest_size=8)
        self._run_id = self._told_run_id = _run_id(self.control)
        self._restarts = 0

    @property
    def trace(self) -> str:
        """A digest of each command so far: when, of whom, and what the server answered."""
        return self._trace.hexdigest()

    def start(self, name: str, main: Callable[[Process], Coroutine[Any, Any, None]]) -> Process:
        """Start a process."""
        process = Process(name, lambda: self.now)
        self.processes.append(process)
        self._living.append(process)
        self.current = process
        process.task = process.loop.create_task(main(process))
        return process

    def kill(self, process: Process) -> None:
        """As kill -9: its loops never turn again, and the server notices after a while."""
        process.is_dead = True
        self._living.remove(process)
        for link in process.links:
            link.is_cut = True
            self.later(self.rng.random() * 0.05, link.end_at_server)

    def set_clock(self, seconds: float) -> None:
        """The server's clock makes a step: back where it is negative."""
        self.clock_off += seconds
        self.leaps += max(0.0, seconds)

    def restart_server(self, seconds: float) -> None:
        """As if it ended, and came back after so many seconds as another run; its data is what it is."""
        self._restarts += 1
        self._told_run_id = b"%040d" % self._restarts
        self.down_until = self.now + seconds
        for link in list(self.links()):
            link.end_at_server()
            link.cut()

    def connect(self, thread: bool = False) -> Link:  # noqa: FBT001, FBT002
        """A connection of the process whose code runs now."""
        process = self.current
        loop = process.thread if thread else process.loop
        link = Link(self, self.control, self._path, process.name, loop.call_soon)
        process.links.append(link)
        return link

    @property
    def server_now(self) -> float:
        """What the server's clock says."""
        return self.now + self.clock_off

    # --- what links need --------------------------------------------------------------------------------------------

    def delay(self) -> float:
        """Mostly short; one packet in a hundred takes a hundred times as long."""
        seconds = self.rng.expovariate(1 / self.mean_delay)
        return seconds if self.rng.random() > 0.01 else seconds * 100

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen in so many virtual seconds."""
        self.at(self.now + seconds, what)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen at a virtual time; what is asked for the same time happens in that order."""
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, what))

    def breaks(self) -> float | None:
        """Whether the connection breaks at this packet."""
        return self.rng.random() * 0.01 if self.cuts and self.rng.random() < self.cuts else None

    def told(self, answer: bytes) -> bytes:
        """What the server answers, with the run that it takes itself for."""
        return answer.replace(self._run_id, self._told_run_id) if self._restarts else answer

    def ran(self, who: str, command: bytes, answer: bytes) -> None:
        """Note a command in the trace, and have everything checked."""
        self.calls += 1
        # INFO tells real times, HELLO how many have connected before; a server's run has an id of its own.
        told = b"" if b"INFO" in command[:20] or b"HELLO" in command[:20] else answer
        self._trace.update(f"{self.now:.9f} {who} ".encode() + (command + told).replace(self._run_id, b"run"))
        self.last_command, self.last_answer = command, answer
        for check in self.checks:
            check()

    def links(self) -> Iterator[Link]:
        """All connections the server knows."""
        return (link for process in self.processes for link in process.links if not link.is_gone)

    # --- time -------------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Turn a loop that has something to do, or let a packet arrive; else go on to the next time.

        False when nothing will ever happen again.
        """
        self.steps += 1
        ready, next_at = self._turns()
        if self._heap:
            at = self._heap[0][0]
            if at <= self.now:
                ready.append(None)
            next_at = min(next_at, at)
        if ready:
            chosen = self.rng.choice(ready)
            if chosen is None:
                heapq.heappop(self._heap)[2]()
            else:
                self.current = chosen[0]
                chosen[1].turn()
        elif next_at == math.inf:
            return False
        else:
            self.now = max(self.now, next_at)
        return True

    def _turns(self) -> tuple[list[tuple[Process, Loop] | None], float]:
        """Which loops have something to do now, and when the next one will."""
        # A fifth of a run is spent here: no call that can be spared.
        ready: list[tuple[Process, Loop] | None] = []
        now, next_at = self.now, math.inf
        for process in self._living:
            stopped, blocked = process.stopped_until, process.blocked_until
            for loop in process.loops:
                if loop._ready:
                    due = 0.0
                elif timers := loop._scheduled:
                    due = loop.due() if timers[0]._cancelled else timers[0]._when
                else:
                    continue  # it waits for others
                until = blocked if blocked > stopped and loop is process.loop else stopped
                if due < until:  # noqa: PLR1730  # as above
                    due = until
                if due <= now:
                    ready.append((process, loop))
                elif due < next_at:
                    next_at = due
        return ready, next_at


def _run_id(control: Control) -> bytes:
    info: bytes = control.call("INFO", "server")
    return next(line[7:].strip() for line in info.splitlines() if line.startswith(b"run_id:"))
