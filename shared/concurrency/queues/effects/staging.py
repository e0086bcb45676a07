"""Staging: puts that are too many for one acknowledgement go ahead of it, and count from it on."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.queues.effects.forwards import Destination, Fold
from shared.concurrency.queues.effects.writes import Write, Writes
from shared.concurrency.queues.encoding.once import is_once
from shared.concurrency.session.server_errors import OutOfMemory

MANY: Final = 1000
"""With more puts than that an acknowledgement is too much for one call: a thousand are about a millisecond."""
_MOST: Final = 500
_MOST_BYTES: Final = 512 << 10
"""What one fold holds at most, or one entry."""


@dataclass(slots=True, eq=False)
class Staged:
    """The puts of one delivery into one queue, staged there under this session."""

    destination: Destination
    session_id: str
    named: list[bytes] = field(default_factory=list)
    """Those of a name, which are in no fold: what waits under it is met with the acknowledgement."""
    folds: list[Fold] = field(default_factory=list)

    @property
    def operands(self) -> list[bytes]:
        """What the acknowledgement says of them."""
        return [self.session_id.encode(), b"%d" % len(self.folds), *(fold.key for fold in self.folds), *self.named]


def is_much(writes: Writes) -> bool:
    """Whether its puts are too many for one call."""
    return sum(len(write.operands) for write in writes if isinstance(write.key, Destination)) > MANY


async def stage(writes: Writes, wait_for_memory: Callable[[], Awaitable[None]]) -> dict[Write, Staged]:
    """Stage all its puts; none when a queue refuses that: they go with the acknowledgement then, in one call."""
    all_staged: dict[Write, Staged] = {}
    for write in writes:
        if not isinstance(write.key, Destination):
            continue
        named = [entry for entry in write.operands if is_once(entry)]
        plain = [entry for entry in write.operands if not is_once(entry)] if named else write.operands
        if not plain:
            continue
        staged = all_staged[write] = Staged(write.key, write.key.member.session_id, named)
        for entries in _portions(plain):
            fold = write.key.fold(entries)
            staged.folds.append(fold)
            if not await _stage(staged, fold, wait_for_memory):
                await unstage(all_staged)
                return {}
    return all_staged


async def _stage(staged: Staged, fold: Fold, wait_for_memory: Callable[[], Awaitable[None]]) -> bool:
    call = staged.destination.member.call
    while True:
        try:
            return bool(await call("stage", staged.session_id, fold.key, *fold.entries))
        except OutOfMemory:
            await wait_for_memory()
        except ConcurrencyError:
            return False  # the acknowledgement finds out why


async def unstage(all_staged: Mapping[Write, Staged]) -> None:
    """Forget what was staged. Where the server cannot be asked it goes with the session."""
    for staged in all_staged.values():
        keys = [fold.key for fold in staged.folds]
        with contextlib.suppress(ConcurrencyError):
            await staged.destination.member.call("unstage", staged.session_id, *keys)


async def let_in(all_staged: Mapping[Write, Staged]) -> None:
    """Let in what there is room for, some at a time. Where this process dies, whoever takes there does so."""
    for staged in all_staged.values():
        with contextlib.suppress(ConcurrencyError):
            while await staged.destination.member.call("let_in"):
                pass


def _portions(entries: Sequence[bytes]) -> Iterator[list[bytes]]:
    portion: list[bytes] = []
    size = 0
    for entry in entries:
        if portion and (len(portion) >= _MOST or size + len(entry) > _MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(entry)
        size += len(entry)
    yield portion
