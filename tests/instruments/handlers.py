"""Handlers that do as their message says, in whatever process or thread they are called."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from consumer.outcomes import Reject, Retry
from consumer.rules.handler import Place
from shared.concurrency import Batch, Delivery, Queue, Session
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.pipeline import Pipeline
from tests.instruments.messages import Errand


def order(text: str, note: Path | str = "") -> Errand:
    """A message: what to do, and the file that notes who did it."""
    return Errand(text=text, file=str(note))


def notes(path: Path) -> list[list[int]]:
    """Who began to handle a message that names this file: process id and attempt of each."""
    return [[int(word) for word in line.split()] for line in path.read_text().splitlines()] if path.exists() else []


def obey(delivery: Delivery[Errand]) -> None:
    """Note who we are, and do what the text says."""
    if delivery.item.file:
        with Path(delivery.item.file).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {delivery.attempt}\n")
    verb, _, rest = delivery.item.text.partition(" ")
    _VERBS[verb](delivery, rest)


def obey_all(batch: Batch[Errand]) -> None:
    """The same with a batch."""
    for delivery in batch:
        obey(delivery)


def wait_for(path: Path) -> None:
    """Wait until there is a file."""
    while not path.exists():
        time.sleep(0.002)


def fail(text: str) -> NoReturn:
    """Raise."""
    raise LookupError(text)


def panic(name: str) -> NoReturn:
    """Raise what is no Exception, as extensions in Rust do."""
    raise {"Panic": BaseException, "Interrupt": KeyboardInterrupt, "Exit": GeneratorExit}[name](name)


def retry(after: str) -> NoReturn:
    """Ask for another attempt."""
    raise Retry(float(after) if after else None, "not now") from KeyError("why")


def wait_on(after: str) -> NoReturn:
    """Wait for a precondition, for a minute at most."""
    raise Retry(float(after), counts=False, within=60)


def reject(reason: str) -> NoReturn:
    """Make the message a dead letter."""
    raise Reject(reason)


def count(delivery: Delivery[Errand], key: str) -> None:
    """Collect one effect of each kind that can travel."""
    effects = delivery.effects
    effects.hincrby(f"{key}:hash", "n", 2)
    effects.hset(f"{key}:hash", b"\xff", "text")
    effects.set(f"{key}:text", 1.5)
    effects.delete(f"{key}:gone")
    effects.incrby(f"{key}:number", -3)
    effects.rpush(f"{key}:list", "a", b"\x00")
    effects.sadd(f"{key}:set", 1)
    effects.expire(f"{key}:set", 60)


def forward(delivery: Delivery[Errand], url: str) -> None:
    """Forward a put into a queue of a session of this process's own."""

    async def there() -> None:
        async with Session.open(url) as session:
            delivery.effects.put(Queue(session, "elsewhere", Errand), delivery.item)

    asyncio.run(there())


_VERBS: Final[dict[str, Callable[[Delivery[Errand], str], object]]] = {
    "return": lambda _, __: None,
    "exit": lambda _, code: os._exit(int(code)),
    "quit": lambda _, text: sys.exit(text),
    "hang": lambda _, __: time.sleep(1000),
    "wait": lambda _, path: wait_for(Path(path)),
    "spawn": lambda _, __: subprocess.run(["sleep", "1000"], check=False),  # noqa: S607
    "print": lambda _, text: print(text),  # noqa: T201
    "read": lambda _, __: sys.stdin.read(),
    "fail": lambda _, text: fail(text),
    "wait_on": lambda _, after: wait_on(after),
    "panic": lambda _, name: panic(name),
    "retry": lambda _, after: retry(after),
    "reject": lambda _, reason: reject(reason),
    "settle": lambda delivery, _: handout_of(delivery).settled("ack"),
    "count": count,
    "forward": forward,
    "tell": lambda delivery, _: fail(f"{delivery.id} {delivery.attempt} {delivery.failures} {delivery.first_error}"),
}


async def block(delivery: Delivery[Errand], _: Pipeline) -> None:
    """Block the event loop until there is the file that the text names."""
    wait_for(Path(delivery.item.text))


def on_the_loop(
    function: Callable[[Delivery[Errand]], object],
) -> Callable[[Delivery[Errand], Pipeline], Awaitable[object]]:
    """A handler that runs on the event loop, and returns what this function does."""

    async def handle(delivery: Delivery[Errand], _: Pipeline) -> object:
        await asyncio.sleep(0)
        return function(delivery)

    return handle


async def hang(delivery: Delivery[Errand], _: Pipeline) -> object:
    """Wait until it is cancelled, or do as the text says."""
    if not delivery.item.text.startswith(("hang", "wait")):
        obey(delivery)
        return None
    await asyncio.to_thread(Path(delivery.item.file).write_text, f"{os.getpid()} {delivery.attempt}\n")
    await asyncio.Event().wait()
    return None


def hang_in_thread(delivery: Delivery[Errand], _: Pipeline) -> None:
    """Obey."""
    obey(delivery)


HANG: Final[dict[Place, Any]] = {"loop": hang, "thread": hang_in_thread, "process": obey}
"""What hangs, wherever it runs."""
