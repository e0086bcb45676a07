"""Chaos: kills a consumer with -9 about once a second, and starts a new one."""

import asyncio
import random
import signal
from typing import Any

import redis.asyncio

from cli.demo.processes import Process, Processes
from shared.concurrency.queues.membership.keys import leased_key, queue_keys
from shared.demo.run_record import Production

_PAUSE = (0.7, 1.3)


class Chaos:
    """Kills consumers of one demo; the first time one that holds a delivery, then, where it can, others that do."""

    def __init__(self, processes: Processes, client: "redis.asyncio.Redis", queue: str, run: str) -> None:
        """Prepare; `run` does it."""
        self._processes = processes
        self._client = client
        self._queue = queue
        self._production = Production(client, queue, run)
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
                # Stopped, it can not finish what it holds before we have looked.
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
        owner = await self._production.owner_of(consumer.pid)
        if owner is None:
            return False
        sessions: list[Any] = await self._client.zrange(queue_keys(self._queue)["sessions"], 0, -1)
        handed = queue_keys(self._queue)["handed"].decode()
        held = [
            await _answer(self._client.hlen(leased_key(self._queue, session.decode()).decode()))
            or await _answer(self._client.hget(handed, session.decode()))
            for session in sessions
            if session.decode().startswith(owner)
        ]
        return any(held)


async def _answer(reply: Any) -> Any:
    """redis-py types its asyncio client's answers as if they might not have to be awaited."""
    return await reply
