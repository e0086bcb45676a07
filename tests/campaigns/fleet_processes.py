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
from typing import Any, Final

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

    `habits`: it rests for `rest` seconds behind each hundred, and asks for so many `replicas`.
    """
    only_errors()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    doubtful, number = in_doubt(Path(folder), part)
    history = History(Path(folder), part)
    noting = asyncio.create_task(keep_notes(Path(folder)))
    async with pulse(Path(folder), f"producer-{part}"), _session(url, ttl, habits) as session:
        queue = _queue(session, name)
        report("ready")
        for first, last in doubtful:
            history.note("invoke", first, last)
            await _put(queue, history, part, first, last)
        while not stopping.is_set():
            history.note("invoke", number, number + AT_ONCE - 1)
            await _put(queue, history, part, number, number + AT_ONCE - 1)
            await _try_to_put(queue, history, part, number + AT_ONCE)
            number += AT_ONCE + 1
            await asyncio.sleep(habits["rest"])
    noting.cancel()
    report("end", number)


async def _put(queue: Queue[tuple[int, int]], history: History, part: int, first: int, last: int) -> None:
    """Put a range under ids, again and again while nobody knows whether it is in."""
    began, returned = time.monotonic_ns(), dict[int, int]()

    async def put(number: int) -> None:
        await queue.put((part, number), id=f"{part}-{number}")
        returned.setdefault(number, time.monotonic_ns())

    while True:
        puts = (put(number) for number in range(first, last + 1))
        ends = await asyncio.gather(*puts, return_exceptions=True)
        failures = [end for end in ends if isinstance(end, BaseException)]
        for failure in failures:
            if not isinstance(failure, ConcurrencyError):
                raise failure
        if not failures:
            if time.monotonic_ns() - began > _SLOW:
                for number, at in returned.items():
                    history.note("each", number, number, at)
            history.note("ok", first, last)
            return
        history.note("info", first, last)
        await asyncio.sleep(0.05)


async def _try_to_put(queue: Queue[tuple[int, int]], history: History, part: int, number: int) -> None:
    """Put one if there is room. Where there is none it is never put; where nobody knows, it is put as any other."""
    history.note("invoke", number, number)
    try:
        await queue.put_nowait((part, number), id=f"{part}-{number}")
    except QueueFull:
        history.note("fail", number, number)
    except ConcurrencyError:
        history.note("info", number, number)
        await _put(queue, history, part, number, number)
    else:
        history.note("ok", number, number)


async def consume(url: str, name: str, ttl: float, folder: str, habits: Mapping[str, float], number: int) -> None:  # noqa: PLR0917
    """Handle messages until SIGTERM; each counts itself with its acknowledgement, and at the referee.

    `habits`: of so many handlings (`blocks`) each blocks the loop for three times to live.
    """
    only_errors()
    referee = Referee(Path(folder))
    noting = asyncio.create_task(keep_notes(Path(folder)))
    chance = random.Random()  # noqa: S311  # no secret

    async def handle(delivery: Delivery[tuple[int, int]]) -> None:
        (part, message), began = delivery.item, time.monotonic_ns()
        if chance.random() < _RETRY:
            raise Retry(reason="this attempt fails on purpose")
        if chance.random() < habits["blocks"]:
            time.sleep(3 * ttl)  # noqa: ASYNC251  # on purpose
        referee.record(part, message, delivery.attempt, began)
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
