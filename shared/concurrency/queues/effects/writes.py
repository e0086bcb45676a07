"""Writes: what a handler collected by `Delivery.effects`, as it travels."""

import base64
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from shared.concurrency.queues.effects.forwards import Destination

LARGEST: Final = 2**53 - 1
"""What a number may reach either way: the end of what a double holds exactly."""
_MOST_OPERANDS: Final = 100_000
_MOST_BYTES: Final = 4 << 20
_ON_FIELDS: Final = ("hincrby", "hset")
_EXPIRE: Final = "expire"
_REPLACING: Final = ("set", _EXPIRE)


class Write(NamedTuple):
    """One write as the server makes it; `key` is bytes, or the queue that is put to."""

    command: str
    key: bytes | Destination
    operands: list[bytes]


class Writes:
    """The writes of one delivery: one of a kind for each key, for what is asked for again is joined to it.

    A second kind of write on one key, or on one field of a hash, is refused: so the server can look at each write alone.
    """

    __slots__ = ("_bytes", "_destinations", "_fields", "_kinds", "_operands", "_writes", "asked", "sealed")

    def __init__(self) -> None:
        """Begin with none."""
        self.asked: list[tuple[Any, ...]] = []
        """What was asked for, in order: ("hincrby", "key", "field", 1), ("put", "queue", item)."""
        self.sealed = False
        """Whether they are on their way: nothing can be added any more."""
        self._writes: dict[tuple[str, bytes | Destination], Write] = {}
        self._kinds: dict[bytes, str] = {}
        self._fields: dict[tuple[bytes | Destination, bytes], tuple[str, int]] = {}
        """Key and field of a hash -> its command, and where its value stands among the operands."""
        self._destinations: tuple[Destination, ...] = ()
        self._operands = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.asked)

    def __iter__(self) -> Iterator[Write]:
        return iter(self._writes.values())

    @property
    def count(self) -> int:
        """How many writes they are for the server."""
        return len(self._writes)

    def add(self, command: str, key: bytes | Destination, operands: list[bytes], asked: tuple[Any, ...]) -> None:
        """Add a write; `asked` is how the handler asked for it.

        :raises RuntimeError: when they are on their way already.
        :raises ValueError: when they are too many, of a second kind on one key, or their sum is too large; nothing is added.
        """
        if self.sealed:
            raise RuntimeError("this delivery is acknowledged already: collect its effects before")
        count, size = self._operands + 1 + len(operands), self._bytes
        for operand in operands:
            size += len(operand)
        if count > _MOST_OPERANDS or size > _MOST_BYTES:
            raise ValueError(
                f"the effects of one delivery are too many: {count} operands with {size} bytes; {_MOST_OPERANDS} and "
                f"{_MOST_BYTES} is the limit. Make more messages of it"
            )
        place = (command, key)
        write = self._writes.get(place)
        if write is None:
            self._begin(Write(command, key, operands), place)
        elif command in _ON_FIELDS:
            self._join_field(write, operands)
        elif command in _REPLACING:
            write.operands[:] = operands
        elif command == "incrby":
            write.operands[0] = _sum(write.operands[0], operands[0])
        else:
            write.operands.extend(operands)
        self._operands, self._bytes = count, size
        self.asked.append(asked)

    def _begin(self, write: Write, place: tuple[str, bytes | Destination]) -> None:
        """Take the first write of a kind on a key, unless the key has another kind."""
        command, key, operands = write
        if not isinstance(key, bytes):
            self._destinations = (*self._destinations, key)
        else:
            kind = "hash" if command in _ON_FIELDS else command
            known = self._kinds.get(key, _EXPIRE)
            if kind == _EXPIRE:
                self._kinds.setdefault(key, kind)
            elif known in (_EXPIRE, kind):
                self._kinds[key] = kind
            else:
                raise ValueError(
                    f"one delivery makes one kind of write on a key, and `expire` beside it: {shown(key)} has "
                    f"{' or '.join(_ON_FIELDS) if known == 'hash' else known} already, so no {command}"
                )
            if command in _ON_FIELDS:
                self._check_field(write, operands[0], 1)
        self._writes[place] = write

    def _join_field(self, write: Write, operands: list[bytes]) -> None:
        field, value = operands
        joined = write.operands
        at = self._check_field(write, field, len(joined) + 1)
        if at > len(joined):
            joined.extend(operands)
        else:
            joined[at] = value if write.command == "hset" else _sum(joined[at], value)

    def _check_field(self, write: Write, field: bytes, at: int) -> int:
        """Where the value of a field stands, `at` where the field is new."""
        command, found = self._fields.setdefault((write.key, field), (write.command, at))
        if command != write.command:
            raise ValueError(
                f"one delivery makes one kind of write on a field of a hash: {shown(field)} has {command} already"
            )
        return found

    @property
    def weight(self) -> int:
        """How many words they are in a call, about."""
        return self._operands + 3 * len(self._writes)

    @property
    def size(self) -> int:
        """Bytes of their operands."""
        return self._bytes

    def destinations(self) -> Iterable[Destination]:
        """The queues that are put to."""
        return self._destinations

    def written_keys(self) -> Iterable[bytes]:
        """The keys that are written to."""
        return self._kinds

    def to_json(self) -> list[list[Any]]:
        """All that was asked for, as JSON can hold it: for a handler in another process."""
        return [
            [{"bytes": base64.b64encode(one).decode()} if isinstance(one, bytes) else one for one in asked]
            for asked in self.asked
        ]


def _sum(one: bytes, other: bytes) -> bytes:
    total = int(one) + int(other)
    if abs(total) > LARGEST:
        raise ValueError(f"the amounts for one number come to less than 2**53 either way, not to {total}")
    return b"%d" % total


def shown(key: bytes) -> str:
    """A key as an error message shows it."""
    return repr(key.decode(errors="backslashreplace")[:200])
