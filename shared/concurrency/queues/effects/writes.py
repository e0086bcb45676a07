"""Writes: what a handler collected by `Delivery.effects`, as it travels."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from shared.concurrency.errors import EffectRefused
from shared.concurrency.queues.effects.forwards import Destination
from shared.concurrency.queues.encoding.once import is_once

LARGEST: Final = 2**53 - 1
"""What a number may reach either way: the end of what a double holds exactly."""
_MOST_OPERANDS: Final = 100_000
_MOST_BYTES: Final = 4 << 20
_MOST_WORK: Final = 24_000
_WORK_OF_A_KEY: Final = 20
_WORK: Final = {"hincrby": 5, "hset": 1, "rpush": 1, "sadd": 1}
"""What an operand of a command costs the server, in quarters of a microsecond. All that one delivery writes is one
call, or others would see a part of it: so it is bounded. Puts are not, but those of a name: they are staged."""
_WORK_OF_A_NAME: Final = 48
_WORK_OF_A_WORD: Final = 8
"""Those of a delivery that is as large as it may be travel alone."""
_EXPIRE: Final = "expire"
_OTHER: Final = {"hincrby": "hset", "hset": "hincrby"}
"""The writes on fields of a hash, each with the other one."""


class Write:
    """One write as the server makes it; `key` is bytes, or the queue that is put to."""

    __slots__ = ("_places", "command", "key", "operands")

    def __init__(self, command: str, key: bytes | Destination, operands: list[bytes]) -> None:
        """`operands`: as the command takes them; they become this write's own."""
        self.command: Final = command
        self.key: Final = key
        self.operands: Final = operands
        self._places: dict[bytes, int] | None = None
        """Field of a hash -> where its value stands; made when a second one comes."""

    def place_of(self, field: bytes) -> int | None:
        """Where the value of a field of a hash stands among the operands."""
        if self._places is None:
            self._places = {self.operands[at]: at + 1 for at in range(0, len(self.operands), 2)}
        return self._places.get(field)

    def fresh(self, operands: list[bytes]) -> int:
        """How many of the operands that are asked for once more are added to those that are there."""
        if self.command not in _OTHER:
            return len(operands)
        return 2 * sum(self.place_of(field) is None for field in operands[::2])

    def join(self, operands: list[bytes]) -> None:
        """Add what is asked for once more.

        :raises ValueError: when the amounts come to too much; nothing is added.
        """
        mine, command = self.operands, self.command
        if command in _OTHER:
            self._join_fields(operands)
        elif command == "incrby":
            mine[0] = _sum(mine[0], operands[0])
        elif command in ("set", _EXPIRE):
            mine[:] = operands
        else:
            mine.extend(operands)

    def _join_fields(self, operands: list[bytes]) -> None:
        mine, changed, added = self.operands, dict[int, bytes](), dict[bytes, bytes]()
        for at in range(0, len(operands), 2):
            field, value = operands[at], operands[at + 1]
            place = self.place_of(field)
            before = added.get(field) if place is None else changed.get(place, mine[place])
            if before is not None and self.command == "hincrby":
                value = _sum(before, value)
            if place is None:
                added[field] = value
            else:
                changed[place] = value
        # All are sound.
        for place, value in changed.items():
            mine[place] = value
        for field, value in added.items():
            if self._places is not None:
                self._places[field] = len(mine) + 1
            mine += (field, value)


class Writes:
    """The writes of one delivery: one of a kind for each key, for what is asked for again is joined to it.

    A second kind of write on one key, or on one field of a hash, is refused: so the server can look at each write
    alone.
    """

    __slots__ = ("_bytes", "_operands", "_work", "_writes", "asked", "destinations", "sealed")

    def __init__(self) -> None:
        """Begin with none."""
        self.asked: list[tuple[Any, ...]] = []
        """What was asked for, in order: ("incrby", "key", 1), ("hset", "key", {"a": 1}), ("put", "queue", item)."""
        self.sealed = False
        """Whether they are on their way: nothing can be added any more."""
        # By key; a second write on a key, `expire` or the other one on a hash, by command and key.
        self._writes: dict[bytes | Destination | tuple[str, bytes | Destination], Write] = {}
        self.destinations: tuple[Destination, ...] = ()
        """The queues that are put to."""
        self._operands = 0
        self._bytes = 0
        self._work = 0

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
        :raises ValueError: when they are too many, of a second kind on one key, or their sum is too large; nothing is
            added.
        """
        if self.sealed:
            raise RuntimeError("this delivery is acknowledged already: collect its effects before")
        count, size = self._operands + 1 + len(operands), self._bytes + sum(map(len, operands))
        if count > _MOST_OPERANDS or size > _MOST_BYTES:
            raise ValueError(
                f"the effects of one delivery are too many: {count} operands with {size} bytes; {_MOST_OPERANDS} and "
                f"{_MOST_BYTES} is the limit. Make more messages of it"
            )
        place = (command, key) if command == _EXPIRE else key
        first = self._writes.get(place)
        if first is not None and first.command != command:
            place = (command, key)
            self._check_second(first, command, operands)
        elif first is not None and command in _OTHER:
            self._check_fields(self._writes.get((_OTHER[command], key)), operands)
        write = self._writes.get(place)
        work = self._work_with(write, command, operands)
        if write is not None:
            write.join(operands)
        else:
            self._writes[place] = Write(command, key, operands)
            if not isinstance(key, bytes):
                self.destinations = (*self.destinations, key)
        self._operands, self._bytes, self._work = count, size, work
        self.asked.append(asked)

    def _work_with(self, write: Write | None, command: str, operands: list[bytes]) -> int:
        """What all would cost the server with one more; `write`: what it is joined to."""
        work = self._work + (_WORK_OF_A_KEY if write is None else 0)
        work += _WORK.get(command, 0) * (len(operands) if write is None else write.fresh(operands))
        if command == "put":
            work += _WORK_OF_A_NAME * sum(map(is_once, operands)) - (_WORK_OF_A_KEY if write is None else 0)
        if work > _MOST_WORK:
            raise ValueError(
                "the effects of one delivery are too many: they would hold the server up. The limit is 1,200 keys, or "
                "2,400 fields for `hincrby`, or 12,000 for `hset`, or 24,000 values in lists and sets, or 500 of "
                "`put_unique`; of several, shares of it. Make more messages of it"
            )
        return work

    def _check_second(self, first: Write, command: str, operands: list[bytes]) -> None:
        """One hash takes both kinds of writes on fields; nothing else goes together."""
        if _OTHER.get(command) != first.command:
            raise ValueError(
                f"one delivery makes one kind of write on a key, and `expire` beside it: {_key_of(first)} has "
                f"{first.command} already, so no {command}"
            )
        self._check_fields(first, operands)

    @staticmethod
    def _check_fields(other: Write | None, operands: list[bytes]) -> None:
        if other is None:
            return
        for field in operands[::2]:
            if other.place_of(field) is not None:
                raise ValueError(
                    f"one delivery makes one kind of write on a field of a hash: {shown(field)} of {_key_of(other)} has "
                    f"{other.command} already"
                )

    @property
    def weight(self) -> int:
        """How many words they are in a call, about; as many as would be as much work, where that is more."""
        return max(self._operands + 3 * len(self._writes), self._work // _WORK_OF_A_WORD)

    @property
    def size(self) -> int:
        """Bytes of their operands."""
        return self._bytes

    def written_keys(self) -> Iterable[bytes]:
        """The keys that are written to."""
        return dict.fromkeys(write.key for write in self if isinstance(write.key, bytes))

    def to_json(self) -> list[list[Any]]:
        """All that was asked for, as JSON can hold it: for a handler in another process.

        :raises EffectRefused: when a put is among them.
        """
        if any(command in ("put", "put_unique") for command, *_ in self.asked):
            raise EffectRefused(
                "a handler in a process cannot forward a put by a queue of its own, for the put travels with the session "
                'of the service: name the queue, as effects.put("mail", item)'
            )
        return [list(map(_to_json, asked)) for asked in self.asked]


def _to_json(asked: Any) -> Any:
    if isinstance(asked, Mapping):  # its fields may be bytes
        return [_to_json(word) for pair in asked.items() for word in pair]
    return {"bytes": base64.b64encode(asked).decode()} if isinstance(asked, bytes) else asked


def _sum(one: bytes, other: bytes) -> bytes:
    total = int(one) + int(other)
    if abs(total) > LARGEST:
        raise ValueError(f"the amounts for one number come to less than 2**53 either way, not to {total}")
    return b"%d" % total


def shown(key: bytes) -> str:
    """A key as an error message shows it."""
    return repr(key.decode(errors="backslashreplace")[:200])


def _key_of(write: Write) -> str:
    return shown(write.key) if isinstance(write.key, bytes) else write.key.member.name
