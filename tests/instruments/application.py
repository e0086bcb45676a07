"""An application of the tests' own: a copy of the project without the demo, its YOURS files replaced by short ones."""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
DEMO: Final = ("shared/demo", "cli/demo", "tests/demo")
"""All that is the demo's. A copy has none of it."""

SERVICES: Final = ("shared", "producer", "consumer")
_COPIED: Final = {".py", ".lua"}

YOURS: Final = {
    "shared/messages.py": '''"""YOURS: the message classes."""

from shared.message import Message


class Errand(Message):
    """Do what the text says."""

    text: str
    file: str = ""
    part: int = 0
''',
    "shared/settings.py": '''"""YOURS: the application's own settings."""

from shared.environment import Environment


class Settings(Environment):
    """What the services can be told."""

    orders: int = 100
''',
    "shared/resources.py": '''"""YOURS: what handlers work with."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis.asyncio

from shared.concurrency import ReadersWritersLease, Session
from shared.settings import Settings


@dataclass(frozen=True)
class Resources:
    """What is open."""

    shop: ReadersWritersLease
    filled: str


@asynccontextmanager
async def open_resources(
    settings: Settings, session: Session, client: "redis.asyncio.Redis"
) -> AsyncIterator[Resources]:
    """Note that they are open, and when they are closed."""
    note = f"{{{settings.queue}}}:resources:{os.getpid()}"
    await client.set(note, "open")
    try:
        yield Resources(ReadersWritersLease(session, settings.queue), f"{{{settings.queue}}}:filled")
    finally:
        await client.set(note, "closed")
''',
    "consumer/handlers.py": '''"""YOURS: one function for each message class."""

from consumer.registry import handles
from shared.concurrency import Delivery
from shared.messages import Errand
from shared.pipeline import Pipeline


@handles(Errand)
async def fill(delivery: Delivery[Errand], pipeline: Pipeline) -> None:
    """Note the order."""
    async with pipeline.resources.shop.read():
        delivery.effects.rpush(pipeline.resources.filled, delivery.item.text)
''',
    "producer/source.py": '''"""YOURS: where messages come from."""

from collections.abc import AsyncGenerator

from shared.message import Message
from shared.messages import Errand
from shared.pipeline import Pipeline


async def messages(pipeline: Pipeline) -> AsyncGenerator[Message, None]:
    """Yield as many orders as the settings say."""
    for number in range(pipeline.settings.orders):
        yield Errand(text=str(number))
''',
    "producer/schedule.py": '''"""YOURS: what happens when."""

from typing import Any, ClassVar

from arq.cron import CronJob

from producer.clock.cron import cron_job
from producer.clock.schedule import Schedule
from shared.logs import Log
from shared.settings import Settings

log = Log("clock")

_settings = Settings.load()


async def tick(context: dict[str, Any]) -> None:
    """Count."""
    log.info("ticked", ticks=await context["pipeline"].redis.incr(f"{{{_settings.queue}}}:ticks"))


class WorkerSettings(Schedule):
    """What arq reads."""

    cron_jobs: ClassVar[list[CronJob]] = [
        cron_job(_settings.queue, tick, second=set(range(0, 60, 2))),
    ]
''',
}
"""The files that a forker edits, each as short as it can be."""


def make(target: Path, rooms: Iterable[str] = SERVICES) -> Path:
    """Copy these packages of the project, without the demo and with the YOURS files above; returns the folder."""
    for room in rooms:
        for path in (_ROOT / room).rglob("*"):
            inside = path.relative_to(_ROOT)
            if path.suffix in _COPIED and not inside.as_posix().startswith(DEMO):
                there = target / inside
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(path.read_bytes())
    for name, source in YOURS.items():
        (target / name).write_text(source, encoding="utf-8")
    return target


def fork(target: Path) -> Path:
    """Copy the whole project as a forker without the demo has it, tests, docs and tools too; returns the folder."""
    left_out = shutil.ignore_patterns(".venv*", ".git", ".run", ".hypothesis", ".*_cache", "__pycache__")
    shutil.copytree(_ROOT, target, ignore=left_out)
    for folder in DEMO:
        shutil.rmtree(target / folder, ignore_errors=True)
    for name, source in YOURS.items():
        # Its tests register their own class beside it.
        (target / name).write_text(source.replace("Errand", "Greeting"), encoding="utf-8")
    (target / ".venv").symlink_to(sys.prefix)
    return target


@cache
def application() -> Path:
    """The folder of one such copy, for all tests of this process that do not change it."""
    folder = Path(tempfile.mkdtemp(prefix="weir-application-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make(folder)
