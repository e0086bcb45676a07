"""What a handler in a process collects and reports: it travels to the service as JSON."""

import threading
from collections.abc import Callable
from typing import Any, Final

from consumer.executors.detached import Detached
from shared.concurrency import Effects
from shared.concurrency.queues.effects.effects import writes_of
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.flow import Way, pack_flow
from shared.message import Message
from shared.queue_settings import queue_name


class NamedPuts(Effects):
    """Effects whose puts name their queue: the service puts them."""

    __slots__ = ("_codec", "puts")

    def __init__(self, codec: Codec[Message]) -> None:
        """Begin with none; `codec` writes messages as queues of the service do."""
        super().__init__()
        self._codec = codec
        self.puts: list[list[Any]] = []
        """Queue, class, version, body of each, what is asked of its way, and of one that has a name in it, of that."""

    def __len__(self) -> int:
        return super().__len__() + len(self.puts)

    def _put_by_name(self, queue: str, item: object, way: Way | None, once: str | None = None) -> None:
        name = queue_name(queue)
        if not isinstance(item, Message):
            raise TypeError(f"a queue of the service holds messages, not {type(item).__name__}")
        _, body = self._codec.encode(item)
        asked = {} if way is None else way.given()
        pack_flow(Way(**asked))  # what is wrong with it is raised here
        self.puts.append([name, type(item).__name__, item.stored_versions().number, body.decode(), asked, once])

    def to_json(self) -> dict[str, Any]:
        """All of it.

        :raises EffectRefused: when a put with a queue is among it.
        """
        return {"effects": writes_of(self).to_json(), "puts": self.puts}


class Reporting(Detached):
    """Sends reports to the service; settles nothing."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        """`send`: writes an answer into the pipe."""
        self._send: Final = send
        self._lock: Final = threading.Lock()

    def report_from_any_thread(self, receipt: bytes, progress: bytes, *, is_kept: bool) -> None:  # noqa: ARG002  # the parent knows
        """Send it before the outcome; the handler may have threads of its own."""
        with self._lock:
            self._send({"outcome": "progress", "receipt": receipt.hex(), "progress": progress.decode()})

    report = report_from_any_thread
