"""Registration: has the queue know a session, and what this process wishes of the queue."""

import asyncio
import math
import os
import socket
from typing import Any, Final, Protocol

from shared.concurrency.queues.membership.level import Level
from shared.concurrency.queues.membership.life import Life
from shared.concurrency.queues.membership.load import Load
from shared.concurrency.session.calling import Calling
from shared.concurrency.session.calls import Call
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.futures import retrieve
from shared.concurrency.session.log import Log
from shared.concurrency.session.server_errors import Disconnected, Postponed

log = Log("queues")

# A lane's record is needed while a request may be repeated; a day outlives every outage that a caller waits out.
_KEEP_LANES_MS: Final = 24 * 3600 * 1000
_SETTINGS: Final = ("maxsize", "max_attempts", "max_crashes", "max_dead", "dead_for")
_AFTER_A_REFUSAL: Final = 0.1


class Registrant(Protocol):
    """Whose sessions are registered."""

    name: str
    run_id: str

    @property
    def life(self) -> Life:
        """The session that there is now."""

    def learn(self, epoch: bytes) -> None:
        """Take note of when the queue became known to the server."""


class Registration:
    """Registers a session before its first call, and again when a wish is new or the session is another one."""

    def __init__(self, registrant: Registrant, calls: Calling) -> None:
        """Prepare; `ready` registers."""
        self.is_done = False
        """Whether the queue knows the session that there is now, and all wishes."""
        self.max_attempts = math.inf
        """Failures until a message is a dead letter, as it is stored with the queue; known once it is registered."""
        self.level: Final = Level(registrant.name)
        """The protocol level of the queue."""
        self.load: Load | None = None
        """What a consumer service says of itself with each renewal."""
        self._registrant = registrant
        self._calls = calls
        self._wishes: dict[str, int] = {}
        self._is_consumer = False
        self._task: asyncio.Task[None] | None = None

    def wish(self, **wishes: int | None) -> None:
        """Have these settings stored at the next registration, unless others are stored already; None: no wish."""
        new = {word: value for word, value in wishes.items() if value is not None and word not in self._wishes}
        if new:
            self._wishes |= new
            self.is_done = False

    def can_drain(self) -> None:
        """Have this process known as a consumer service, which can be drained, from its next call on."""
        if not self._is_consumer:
            self._is_consumer = True
            self.is_done = False

    def need_level(self, level: int) -> None:
        """Have the queue need this protocol level before the next call: what is put says something of its way."""
        if level > self.level.wanted:
            self.level.wanted = level
            self.is_done = self.is_done and level <= self.level.needed

    def server_came_back(self) -> None:
        """Register again where the level matters: the data may be older than it."""
        if self.level.wanted:
            self.is_done = False

    async def ready(self) -> None:
        """Wait until the session is registered.

        :raises ConcurrencyError: when the server refuses it.
        """
        while not self.is_done:
            task = self._task
            if task is None or task.done():
                task = self._task = asyncio.create_task(self._register(), name="weir-register")
                task.add_done_callback(retrieve)
            await asyncio.wait({task})
            # `self._task` may be another one by now: whoever woke first found the session over again.
            if not task.cancelled():
                task.result()

    async def settled(self) -> None:
        """Wait until none is under way: its session may be there when its answer is not."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _register(self) -> None:
        life, wishes, is_consumer = self._registrant.life, dict(self._wishes), self._is_consumer
        wanted = self.level.wanted
        sent_at, answer = await self._ask(life, wishes, is_consumer=is_consumer)
        now, deadline, *settings, epoch, level = answer
        kept = dict(zip(_SETTINGS, settings, strict=True))
        if life is not self._registrant.life:
            return
        self._registrant.learn(epoch)
        self.level.learn(level)
        self.max_attempts = kept["max_attempts"]
        life.registered(sent_at, (deadline - now) / 1000)
        self.is_done = (wishes, is_consumer, wanted) == (self._wishes, self._is_consumer, self.level.wanted)
        others = {word: stored for word, stored in kept.items() if wishes.get(word, stored) != stored}
        self._wishes |= others
        for word, stored in others.items():
            log.warning(
                "the queue keeps the setting that it has",
                queue=self._registrant.name, setting=word, stored=stored, ignored=wishes[word],
            )  # fmt: skip

    async def _ask(self, life: Life, wishes: dict[str, int], *, is_consumer: bool) -> tuple[float, list[Any]]:
        while True:
            # Not the time of an outage: a session that begins with its deadline behind it is over at once.
            await self._calls.opened()
            arguments = (
                life.session_id,
                int(life.is_fresh),
                *(wishes.get(word, "") for word in _SETTINGS),
                self._registrant.run_id,
                _KEEP_LANES_MS,
                int(is_consumer),
                *_this_process(),
                self.level.wanted,
            )
            sent_at = boottime()
            try:
                return sent_at, await self._calls.now(Call(self.level.of_registration(), life.keys, arguments))
            except Disconnected:
                continue  # the next call waits for a connection
            except Postponed:
                await asyncio.sleep(_AFTER_A_REFUSAL)


def _this_process() -> tuple[int, bytes]:
    """The id of this process, and the name of its host."""
    return os.getpid(), socket.gethostname().encode(errors="replace")
