"""Parts: what a process has at the server under each name, as its session sees it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Final, NamedTuple, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from shared.concurrency.session.log import Log
from shared.concurrency.session.renewable import Renewable
from shared.concurrency.session.server_errors import Disconnected, Postponed

log = Log("session")

_AT_ONCE: Final = 500
"""So many names are announced in one round trip."""


class Receiver(Protocol):
    """Whoever scripts notify: by one word, about one name."""

    def receive(self, word: bytes, rest: bytes) -> None:
        """Receive a notification; `rest` is what stands behind word and name."""

    def resync(self) -> None:
        """Query the server: notifications that were sent while the connection was away are lost."""


class Part(Receiver, Protocol):
    """What one process has under one name: its part in a queue, or in a lease."""

    WORDS: ClassVar[tuple[bytes, ...]]
    """The notifications that it receives."""

    CLOSES: ClassVar[int]
    """When it is closed: parts with a lower number first."""

    LASTS: ClassVar[bool]
    """Whether it stays until its session ends. Any other goes with the last object that uses it: there may be one for
    each thing that somebody locks once, and at rest they must cost nothing."""

    async def close(self, patience: float) -> None:
        """Give back what is held; gives up after `patience` seconds."""


class LastingPart(Part, Protocol):
    """A part with LASTS: what is asked of one that stays until its session ends."""

    @property
    def renewable(self) -> Renewable:
        """What the heartbeat renews of it."""

    def tick(self) -> None:
        """Compare deadlines with the clock; called several times in a time to live."""

    async def connected(self, run_id: str) -> None:
        """Say what must be said first on a new connection to this run of the server."""


P = TypeVar("P", bound=Part)


class Listener(asyncio.Event):
    """An event that is set by a notification, and when notifications may have been lost."""

    received = False
    """Whether it was a notification."""

    def receive(self, word: bytes, rest: bytes) -> None:  # noqa: ARG002  # whatever it says
        """Set it."""
        self.received = True
        self.set()

    def forget(self, _reply: object) -> None:
        """Clear it: the reply to a query says how things are after all notifications so far."""
        self.received = False
        self.clear()

    def resync(self) -> None:
        """Set it: a notification may have been missed."""
        self.set()


class Group(NamedTuple):
    """Some of the names of a process."""

    lasting: list[tuple[str, LastingPart]]
    passing: list[tuple[object, str]]
    """What they are known by: they may go meanwhile."""
    receiving: list[tuple[bytes, str]]
    """Word and name of those who listen."""


class Parts:
    """The parts of one process, and who receives which notification.

    The table is keyed by word and name, so a queue and a lease may have the same name.
    """

    def __init__(self, on_lasting: Callable[[Renewable], None]) -> None:
        """Begin without any. `on_lasting` is called with what is to be renewed of each part that lasts."""
        self._on_lasting = on_lasting
        self._lasting: dict[tuple[object, str], LastingPart] = {}
        self._passing: WeakValueDictionary[tuple[object, str], Part] = WeakValueDictionary()
        self._kinds: dict[bytes, object] = {}
        """Which kind of passing part receives a word."""
        # Dictionaries as ordered sets: who receives first must not depend on addresses in memory.
        self._receivers: dict[tuple[bytes, str], dict[Receiver, None]] = {}

    def __iter__(self) -> Iterator[Part]:
        """The parts there are now; more may come while the caller waits."""
        return iter([*self._lasting.values(), *self._passing.values()])

    def lasting(self) -> list[LastingPart]:
        """Those parts there are now that stay until the session ends."""
        return list(self._lasting.values())

    def get(self, kind: Callable[[], P], key: object, name: str) -> P:
        """The part of a kind under a name; `kind` makes it where there is none."""
        found = self._lasting.get((key, name)) or self._passing.get((key, name))
        if found is not None:
            return cast("P", found)
        made = kind()
        if made.LASTS:
            lasting = self._lasting[key, name] = cast("LastingPart", made)
            for word in made.WORDS:
                self._receivers.setdefault((word, name), {})[made] = None
            self._on_lasting(lasting.renewable)
        else:
            self._passing[key, name] = made
            for word in made.WORDS:
                self._kinds[word] = key
        return made

    @contextmanager
    def listening(self, word: bytes, name: str, id: str = "") -> Iterator[Listener]:  # noqa: A002
        """A listener for one word about one name, while the block runs; with an `id`, for what is about that alone."""
        listener = Listener()
        if id:
            name = f"{name} {id}"
        there = self._receivers.setdefault((word, name), {})
        there[listener] = None
        try:
            yield listener
        finally:
            there.pop(listener, None)
            if not there:
                self._receivers.pop((word, name), None)

    def dispatch(self, notification: bytes) -> None:
        """Hand a notification, `word name rest`, to those who receive it; never raises.

        Anybody may publish to our channel, so it need not be one of ours.
        """
        word, _, behind = notification.partition(b" ")
        name, _, rest = behind.partition(b" ")
        receivers = self._receiving(word, name.decode(errors="replace"))
        if not receivers:
            receivers = self._receiving(word, behind.decode(errors="replace"))
        defects: list[Exception] = []
        for receiver in receivers:
            try:
                receiver.receive(word, rest)
            except Exception as error:  # noqa: BLE001  # the connection's reader must not pay for it
                defects.append(error)
        for defect in defects:
            log.defect(defect, "a notification could not be received", word=word, name=name, problem=repr(defect))

    def _receiving(self, word: bytes, name: str) -> list[Receiver]:
        receivers = list(self._receivers.get((word, name), ()))
        kind = self._kinds.get(word)
        passing = None if kind is None else self._passing.get((kind, name))
        return receivers if passing is None else [passing, *receivers]

    def groups(self, key: Callable[[str], int]) -> dict[int, Group]:
        """What there is now, by a key of its name."""
        found: defaultdict[int, Group] = defaultdict(lambda: Group([], [], []))
        for (_, name), part in self._lasting.items():
            found[key(name)].lasting.append((name, part))
        for about in list(self._passing):
            found[key(about[1])].passing.append(about)
        for word, name in self._receivers:
            found[key(name.partition(" ")[0])].receiving.append((word, name))
        return found

    async def connected(self, run_id: str, group: Group | None = None) -> None:
        """Announce this process under every name on a new connection, then have everything queried again.

        `group`: the names that are served at the other end; None for all.

        :raises Disconnected: when that connection breaks too.
        :raises Postponed: of a group, when the server does not serve it now.
        """
        parts = [(name, part) for (_, name), part in self._lasting.items()] if group is None else group.lasting
        for first in range(0, len(parts), _AT_ONCE):
            await asyncio.gather(
                *(
                    self._announce(name, part, run_id, may_come_later=group is not None)
                    for name, part in parts[first : first + _AT_ONCE]
                )
            )
        for about in list(self._passing) if group is None else group.passing:
            if (passing := self._passing.get(about)) is not None:
                self._resync(about[1], passing)
        self._resync_listeners(list(self._receivers) if group is None else group.receiving)

    def _resync_listeners(self, receiving: Iterable[tuple[bytes, str]]) -> None:
        for about in receiving:
            for receiver in list(self._receivers.get(about, ())):
                if isinstance(receiver, Listener):
                    receiver.resync()

    async def _announce(self, name: str, part: LastingPart, run_id: str, *, may_come_later: bool) -> None:
        spoilt: Exception | None = None
        try:
            await part.connected(run_id)
        except Disconnected:
            raise
        except Postponed as error:
            if may_come_later:
                raise
            spoilt = error
        except Exception as error:  # noqa: BLE001  # one spoilt name must not stop the others
            spoilt = error
        self._resync(name, part)
        if spoilt is not None:
            log.warning("announcing the new connection failed", name=name, problem=str(spoilt) or repr(spoilt))

    @staticmethod
    def _resync(name: str, part: Part) -> None:
        try:
            part.resync()
        except Exception as error:  # noqa: BLE001  # one spoilt name must not stop the others
            log.defect(error, "a resync failed", name=name, problem=repr(error))

    async def close(self, patience: float) -> None:
        """Close all parts: those with the lowest number first, each group together. One that fails stops no other.

        Whoever waits for a notification looks again first, and finds that the session is closed.
        """
        self._resync_listeners(list(self._receivers))
        ends: list[BaseException | None] = []
        for number in sorted({part.CLOSES for part in self}):
            closing: list[Awaitable[None]] = [part.close(patience) for part in self if number == part.CLOSES]
            ends += await asyncio.gather(*closing, return_exceptions=True)
        for failure in ends:
            if isinstance(failure, Exception):
                log.error("a part of the session could not be closed", problem=repr(failure))
