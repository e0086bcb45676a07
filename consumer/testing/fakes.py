"""A pipeline and queues without a server: they record what a handler asks of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from shared.concurrency import Cancellation, IdConflict, Priority, Queue, ResultFuture
from shared.concurrency.queues.effects.forwards import Destination
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.flow import Way, check_name
from shared.concurrency.queues.encoding.outgoing import KEPT_FOR, Outgoing, check_id
from shared.concurrency.queues.encoding.unique import once_of
from shared.message import Message
from shared.pipeline import Pipeline
from shared.queue_settings import queue_name
from shared.queues import Queues
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Put:
    """One message that was put into a fake queue."""

    queue: str
    item: Message
    id: str | None
    key: str | None
    future: ResultFuture[Any] | None
    """Where it was submitted: what the submitter waits for. A test sets its result, unless `run_inline` does."""
    stored: bytes
    """As it would be stored, without what the server adds."""
    after: float = 0.0
    """Seconds until it is due, of one that was scheduled."""
    share: str | None = None
    priority: Priority | None = None
    limit: str | None = None
    once: str | None = None
    """The name of `put_unique`."""


class FakeQueue(Queue[Message]):
    """A queue that records what is put and submitted. It has no bound, and nothing is taken from it."""

    def __init__(self, full_name: str, settings: Settings, received: Callable[[Put], object]) -> None:
        """Made by FakePipeline. `received` is called with each put."""
        # Not Queue's own: there is no session.
        object.__setattr__(self, "full_name", full_name)
        object.__setattr__(self, "name", full_name.rpartition("/")[2])
        self._received = received
        self._fake: Final[Outgoing[Message, bytes]] = Outgoing(
            Codec(Message, settings.max_message_bytes),
            lambda middle, body: middle + body,
            known_for=settings.known_for,
            results_for=KEPT_FOR,
            on_flow=lambda: None,
        )
        self._ids: Final[dict[str, Message]] = {}
        self.puts: Final[list[Put]] = []
        """All that was put, submitted, and forwarded by a handler that `run_inline` called; in order."""

    async def put(
        self,
        item: Message,
        *,
        id: str | None = None,  # noqa: A002
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> bool:
        """Record it; as Queue.put it refuses what cannot be sent, and says whether the id was new."""
        return self._record(item, id, Way(priority, share, key, limit), None)

    put_nowait = put

    async def put_unique(
        self,
        item: Message,
        name: str,
        *,
        replace: bool = False,
        calm: float | None = None,
        longest: float | None = None,
        every: float | None = None,
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> bool:
        """Record it; one that is put under a name that was put before is recorded too, for nothing is taken: False."""
        once_of(replace=replace, calm=calm, longest=longest, every=every)
        is_new = all(put.once != check_name("once", name) for put in self.puts)
        self._record(item, None, Way(priority, share, key, limit, name), None)
        return is_new

    async def put_many(
        self,
        items: Iterable[Message],
        *,
        key: str | Callable[[Message], str | None] | None = None,
        share: str | Callable[[Message], str | None] | None = None,
        priority: Priority | Callable[[Message], Priority | None] | None = None,
        limit: str | Callable[[Message], str | None] | None = None,
    ) -> None:
        """Record them."""
        for item in items:
            asked = [each(item) if callable(each) else each for each in (priority, share, key, limit)]
            self._record(item, None, Way._make([*asked, None]), None)

    async def submit(  # type: ignore[override]  # one signature in place of two that are overloaded
        self,
        item: Message,
        *,
        id: str | None = None,  # noqa: A002
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
        on_progress: Callable[[float, str], object] | None = None,  # noqa: ARG002
    ) -> ResultFuture[Any]:
        """Record it, and return the future, which is pending until the test, or `run_inline`, sets its result."""
        known = next((put.future for put in self.puts if id is not None and put.id == id and put.future), None)
        future: ResultFuture[Any] = known or ResultFuture(id or f"fake-{len(self.puts)}")
        self._record(item, id, Way(priority, share, key, limit), future)
        return future

    def _record(self, item: Message, id_: str | None, way: Way, future: ResultFuture[Any] | None) -> bool:
        stored = self._fake.entry(item, id_, way, is_asked=future is not None)
        if id_ is not None:
            check_id(id_)
            if (known := self._ids.setdefault(id_, item)) is not item:
                if known != item:
                    raise IdConflict(f"the id {id_} is known with another message")
                return False
        self.receive(Put(self.full_name, item, id_, future=future, stored=stored, **_asked(way)))
        return True

    def receive(self, put: Put) -> None:
        """Record a put."""
        self.puts.append(put)
        self._received(put)

    def _forward(self, item: Message, way: Way | None, once: str | None = None) -> tuple[Destination, bytes]:
        return cast("Destination", self), self._fake.forwarded(item, lambda middle, body: middle + body, way, once)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a fake queue has no {name}: it records put, put_nowait, put_unique, put_many and submit")


def _asked(way: Way) -> dict[str, Any]:
    """What a put records of its way."""
    return {"key": None} | way.given()


class FakeQueues(Queues):
    """The queues of a fake pipeline, each made when it is asked for."""

    def __init__(self, settings: Settings, received: Callable[[Put], object]) -> None:
        """As FakeQueue."""
        self._fakes: Final[dict[str, FakeQueue]] = {}
        self._of: Final = settings
        self._received: Final = received

    def __getitem__(self, name: str) -> FakeQueue:
        """As Queues."""
        if name not in self._fakes:
            self._fakes[name] = FakeQueue(queue_name(name), self._of, self._received)
        return self._fakes[name]


class _Missing:
    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a fake pipeline has no {self._what}: give it one, FakePipeline({self._what}=...)")


@dataclass(frozen=True)
class FakePipeline(Pipeline):
    """A pipeline without a server. What a handler uses beside its queues, the test gives: `resources`, `redis`."""

    settings: Settings = field(default_factory=Settings)
    session: Any = field(default_factory=lambda: _Missing("session"))
    queue: Any = None
    queues: Any = None
    redis: Any = field(default_factory=lambda: _Missing("redis"))
    _deferred: Any = None
    _opened: Any = None
    received: list[Put] = field(default_factory=list)
    """All puts of all queues, in order; those that were scheduled too."""

    def __post_init__(self) -> None:
        """Make the queues."""
        queues = FakeQueues(self.settings, self.received.append)
        object.__setattr__(self, "queues", queues)
        object.__setattr__(self, "queue", queues[self.settings.queue])

    @classmethod
    def of(cls, *, settings: Settings | None = None, resources: object = None, redis: object = None) -> "FakePipeline":
        """Make one; `resources`: what handlers find as `pipeline.resources`."""
        made: dict[str, Any] = {"settings": settings or Settings(), "_opened": resources}
        return cls(**made | ({} if redis is None else {"redis": redis}))

    @property
    def owner(self) -> str:
        """Twelve letters."""
        return "testing-----"

    async def schedule(
        self,
        message: Message,
        *,
        at: datetime | None = None,
        after: float | None = None,
        id: str | None = None,  # noqa: A002
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> str:
        """Record it, as put into the pipeline's queue at that time."""
        if (at is None) == (after is None):
            raise ValueError("give a time: at=, or after=, and not both")
        seconds = after if at is None else (at - datetime.now(at.tzinfo)).total_seconds()
        named = id or f"fake-{len(self.received)}"
        way = Way(priority, share, key, limit)
        stored = self.queue._fake.entry(message, named, way)  # noqa: SLF001  # the room's own
        after = max(0.0, seconds or 0.0)
        self.queue.receive(
            Put(self.queue.full_name, message, named, future=None, stored=stored, after=after, **_asked(way))
        )
        return named

    async def unschedule(self, id: str) -> bool:  # noqa: A002, ARG002
        """Nothing was put yet that could be taken back: False."""
        return False

    async def cancel(self, id: str, *, timeout: float = 5.0) -> Cancellation:  # noqa: A002, ARG002, ASYNC109
        """Nothing is known of it."""
        return Cancellation.UNKNOWN
