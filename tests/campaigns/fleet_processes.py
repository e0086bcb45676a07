"""What the processes of a campaign do: they put and handle, and tell history and referee."""

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Literal

from consumer.outcomes import Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import ConcurrencyError, Delivery, Queue, QueueFull, Session
from tests.campaigns.heap import keep_notes
from tests.campaigns.history import History, in_doubt
from tests.campaigns.pulse import pulse
from tests.campaigns.record import done_key
from tests.campaigns.referee import Referee
from tests.instruments.processes import report

MAXSIZE: Final = 500
AT_ONCE: Final = 100
"""So many puts of a producer are under way at once; a range of the history."""
_HANDLERS: Final = 30
_SLOW: Final = 200_000_000
"""Nanoseconds: of a range that takes longer the time of each put is noted."""
_RETRY: Final = 0.005
"""So many handlings fail on purpose."""


def only_errors() -> None:
    """Have the product log errors alone: what strikes it is no news here."""
    logging.getLogger("weir").setLevel(logging.ERROR)


def _session(url: str, ttl: float, habits: Mapping[str, float]) -> AbstractAsyncContextManager[Session]:
    return Session.open(url, ttl=ttl, connect_timeout=60.0, replicas=int(habits["replicas"]))


def _queue(session: Session, name: str) -> Queue[tuple[int, int]]:
    """Each says the bound, as services do: who does not, cannot bring it back to a server that has forgotten it."""
    return Queue(session, name, tuple[int, int], maxsize=MAXSIZE, max_crashes=None)


async def produce(url: str, name: str, ttl: float, folder: str, habits: Mapping[str, float], part: int) -> None:  # noqa: PLR0917
    """Put number after number, each once, until SIGTERM; what a killed predecessor left in doubt is put again first.

    `habits`: it rests for `rest` seconds behind each hundred, asks for so many `replicas`, and gives each message a key
    where it `has_keys`.
    """
    only_errors()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    doubtful, number = in_doubt(Path(folder), part)
    history = History(Path(folder), part)
    noting = asyncio.create_task(keep_notes(Path(folder)))
    async with pulse(Path(folder), f"producer-{part}"), _session(url, ttl, habits) as session:
        puts = _Puts(_queue(session, name), history, part, has_keys=habits["has_keys"] > 0)
        report("ready")
        for first, last in doubtful:
            await puts.put(first, last)
        while not stopping.is_set():
            await puts.put(number, number + AT_ONCE - 1)
            await puts.try_to_put(number + AT_ONCE)
            number += AT_ONCE + 1
            await asyncio.sleep(habits["rest"])
    noting.cancel()
    report("end", number)


class _Puts:
    """What a producer puts, and writes down."""

    def __init__(self, queue: Queue[tuple[int, int]], history: History, part: int, *, has_keys: bool) -> None:
        self._queue = queue
        self._history = history
        self._part = part
        self._has_keys = has_keys

    async def put(self, first: int, last: int) -> None:
        """Put a range under ids, again and again while nobody knows whether it is in."""
        self._history.note("invoke", first, last)
        began, returned = time.monotonic_ns(), dict[int, int]()

        async def put(number: int) -> None:
            await self._queue.put((self._part, number), **self._way(number))
            returned.setdefault(number, time.monotonic_ns())

        while True:
            puts = (put(number) for number in range(first, last + 1))
            ends = await asyncio.gather(*puts, return_exceptions=True)
            failures = [end for end in ends if isinstance(end, BaseException)]
            for failure in failures:
                if not isinstance(failure, ConcurrencyError):
                    raise failure
            if not failures:
                break
            self._history.note("info", first, last)
            await asyncio.sleep(0.05)
        if time.monotonic_ns() - began > _SLOW:
            for number, at in returned.items():
                self._history.note("each", number, number, at)
        self._history.note("ok", first, last)

    async def try_to_put(self, number: int) -> None:
        """Put one if there is room. Where there is none it is never put; where nobody knows, it is put as any other."""
        self._history.note("invoke", number, number)
        try:
            await self._queue.put_nowait((self._part, number), **self._way(number))
        except QueueFull:
            self._history.note("fail", number, number)
        except ConcurrencyError:
            self._history.note("info", number, number)
            await self.put(number, number)
        else:
            self._history.note("ok", number, number)

    def _way(self, number: int) -> dict[str, Any]:
        """Its id, and a key that no two of a range have: their puts run at the same time, so they have no order."""
        id_ = {"id": f"{self._part}-{number}"}
        return id_ | {"key": f"{self._part}-{number % (AT_ONCE + 1)}"} if self._has_keys else id_


async def consume(url: str, name: str, ttl: float, folder: str, habits: Mapping[str, float], number: int) -> None:  # noqa: PLR0917
    """Handle messages until SIGTERM; each counts itself with its acknowledgement, and at the referee.

    `habits`: of so many handlings (`blocks`) each blocks the loop for three times to live.
    """
    only_errors()
    referee = Referee(Path(folder))
    noting = asyncio.create_task(keep_notes(Path(folder)))
    chance = random.Random()  # noqa: S311  # no secret

    def note(delivery: Delivery[tuple[int, int]], what: Literal["began", "did", "failed"]) -> None:
        if delivery.key is not None:
            referee.note(what, delivery.key, delivery.item[1])

    async def handle(delivery: Delivery[tuple[int, int]]) -> None:
        (part, message), began = delivery.item, time.monotonic_ns()
        note(delivery, "began")
        if chance.random() < _RETRY:
            note(delivery, "failed")
            raise Retry(reason="this attempt fails on purpose")
        if chance.random() < habits["blocks"]:
            time.sleep(3 * ttl)  # noqa: ASYNC251  # on purpose
        referee.record(part, message, delivery.attempt, began)
        note(delivery, "did")
        delivery.effects.hincrby(done_key(name, message), f"{part}-{message}")

    async with (
        pulse(Path(folder), f"consumer-{number}"),
        _session(url, ttl, habits) as session,
    ):
        rules: dict[Any, Rules] = {tuple: Rules(attempts=100, backoff=Backoff(first=0.001, longest=0.05))}
        queue = _queue(session, name)
        worker = Worker(queue, handle, concurrency=_HANDLERS, rules=rules)
        running = asyncio.create_task(worker.run())
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        report("ready")
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
        await worker.stop(30.0)
        await running
    noting.cancel()
    referee.close()
    report("end", os.getpid())
