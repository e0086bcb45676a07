"""Chaos: kills a consumer with -9 about once a second, and starts a new one."""

import asyncio
import random
import signal
import socket

from cli.demo.processes import Process, Processes
from shared.concurrency import Queue
from shared.message import Message

_PAUSE = (0.7, 1.3)


class Chaos:
    """Kills consumers of one demo; the first time one that holds a delivery, then, where it can, others that do."""

    def __init__(self, processes: Processes, queue: Queue[Message]) -> None:
        """Prepare; `run` does it."""
        self._processes = processes
        self._queue = queue
        self.kills = 0

    async def victim_holds(self) -> None:
        """Wait until the victim holds a delivery."""
        while not await self._holds(self._victim()):  # noqa: ASYNC110  # another process's doing
            await asyncio.sleep(0.01)

    def _victim(self) -> Process:
        return next(process for process in self._processes.consumers if process.module == "cli.demo.victim")

    async def run(self) -> None:
        """Kill the victim, then a random consumer about once a second, until cancelled."""
        self.kill(self._victim())
        while True:
            await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311  # no secret
            consumers = list(self._processes.consumers)
            random.shuffle(consumers)
            victim = consumers[0]
            for consumer in consumers:
                # Stopped, it cannot finish what it holds before we have looked.
                consumer.send(signal.SIGSTOP)
                if await self._holds(consumer):
                    victim = consumer
                    break
                consumer.send(signal.SIGCONT)
            self.kill(victim)

    def kill(self, victim: Process) -> None:
        """End a consumer with kill -9 and start another one."""
        self._processes.kill(victim)
        self.kills += 1
        self._processes.start_consumer()

    async def _holds(self, consumer: Process) -> bool:
        """Whether a consumer process holds a delivery."""
        here = consumer.pid, socket.gethostname()
        return any(session.held for session in await self._queue.sessions() if (session.pid, session.host) == here)
