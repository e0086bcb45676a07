"""Editions of one application: the same project with older and newer message classes, for processes side by side."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import redis

from tests.instruments.application import make
from tests.instruments.services import Service, running, wait_for

_MESSAGES: Final = '''"""YOURS: the message classes."""

from typing import Any

from shared import upgrades
from shared.message import Message

EDITION = {name!r}

{classes}
'''
_HANDLERS: Final = '''"""YOURS: one function for each message class."""

import json

from consumer.registry import handles
from shared import messages
from shared.concurrency import Delivery
from shared.message import Message
from shared.pipeline import Pipeline


async def note(delivery: Delivery[Message], pipeline: Pipeline) -> None:
    """Note who handled what."""
    item = delivery.item
    about = [messages.EDITION, type(item).__name__, item.stored_versions().number, item.model_dump(mode="json")]
    delivery.effects.rpush(f"{{{pipeline.settings.queue}}}:handled", json.dumps(about))


for tp in Message.registered().values():
    handles(tp)(note)
'''
_SOURCE: Final = '''"""YOURS: where messages come from."""

from collections.abc import AsyncGenerator

from shared import messages as classes
from shared.message import Message
from shared.pipeline import Pipeline


async def messages(pipeline: Pipeline) -> AsyncGenerator[Message, None]:
    """Yield what is sent for as many numbers as the settings say."""
    for number in range(pipeline.settings.orders):
        for message in classes.sent(number):
            yield message
'''


def edition(folder: Path, name: str, classes: str) -> Path:
    """Make the application with these classes, and return its folder. `sent(number)` there: what a producer puts."""
    root = make(folder / name)
    (root / "shared" / "messages.py").write_text(_MESSAGES.format(name=name, classes=classes), encoding="utf-8")
    (root / "consumer" / "handlers.py").write_text(_HANDLERS, encoding="utf-8")
    (root / "producer" / "source.py").write_text(_SOURCE, encoding="utf-8")
    return root


class Deployment:
    """Processes of several editions at one queue, and what they have handled."""

    def __init__(self, url: str, queue: str) -> None:
        """At this server and queue."""
        self.client: Any = redis.Redis.from_url(url)  # redis-py types one client for both worlds
        self.queue = queue
        self._settings = {"REDIS_URL": url, "PIPELINE_QUEUE": queue}

    @contextmanager
    def consumer(self, root: Path) -> Iterator[Service]:
        """A consumer of an edition, from when it works."""
        with running("consumer", root, **self._settings) as service:
            wait_for(service, "consuming")
            yield service

    def put(self, root: Path, count: int) -> None:
        """Have the producer of an edition put what it sends for so many numbers."""
        with running("producer", root, PIPELINE_ORDERS=str(count), **self._settings) as producer:
            _, said = producer.communicate(timeout=90)
            assert producer.returncode == 0, said

    def handled(self) -> list[tuple[str, str, int, dict[str, Any]]]:
        """What was handled: by which edition, of which class and version as it has them, and with which fields."""
        return [tuple(json.loads(line)) for line in self.client.lrange(f"{{{self.queue}}}:handled", 0, -1)]

    def until_handled(self, count: int, seconds: float = 50) -> list[tuple[str, str, int, dict[str, Any]]]:
        """Wait until so many were handled; AssertionError after so many seconds."""
        deadline = time.monotonic() + seconds
        while self.client.llen(f"{{{self.queue}}}:handled") < count:
            assert time.monotonic() < deadline, self.handled()
            time.sleep(0.01)
        return self.handled()

    def dead(self) -> int:
        """How many dead letters there are."""
        return int(self.client.hlen(f"{{{self.queue}}}:dead"))
