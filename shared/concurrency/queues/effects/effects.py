"""Effects: writes that a handler collects, to be made with the acknowledgement of its delivery or not at all."""

import base64
import math
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from shared.concurrency.queues.membership.membership import Membership

T_contra = TypeVar("T_contra", contravariant=True)

Value = str | bytes | int | float
"""What a key, a field or a member may be given; numbers are written as text."""

_MOST_OPERANDS: Final = 100_000
_MOST_BYTES: Final = 4 << 20
_LARGEST: Final = 2**53 - 1
_LONGEST: Final = 10 * 365 * 86400.0
_COMMANDS: Final = ("hincrby", "hset", "set", "incrby", "rpush", "sadd", "delete", "expire")
_JOINABLE: Final = ("hincrby", "hset", "rpush", "sadd", "put")


class Awaiting(Protocol):
    """Who put something into the line of another queue, and waits until it is let in."""

    def let_in(self, key: bytes) -> None:
        """The entry with this key has left the line."""


class Destination(Protocol):
    """The part of this process in a queue that is put to."""

    member: Membership
    onward: dict[bytes, Awaiting]
    """Keys of entries in its line, and who put them there with an acknowledgement."""


class Puttable(Protocol[T_contra]):
    """A queue, as far as it is put to."""

    @property
    def name(self) -> str:
        """What it is called."""

    def onward(self, item: T_contra) -> tuple[Destination, bytes]:
        """Encode an item for a put that travels with an acknowledgement."""


class Write(NamedTuple):
    """One write as the server makes it; `key` is bytes, or the queue that is put to."""

    command: str
    key: bytes | Destination
    operands: list[bytes]


class Effects:
    """Writes that are made in the same step as the acknowledgement, if and only if the delivery is still its own.

    So each happens exactly once for each message, whatever is killed. They are collected without asking the server,
    and forgotten when the handler fails. All of them are looked at before the first is made: when one can not be made
    (a key holds another type, a number would reach 2**53, the end of what a double holds exactly), `ack` raises EffectRefused and
    nothing is written. When the server's memory is full nothing is written either, and the acknowledgement waits.

    Keys share the hash slot of the queue on a Cluster: `{jobs}:counts` for the queue `jobs`.
    """

    __slots__ = ("_bytes", "_operands", "collected", "sealed", "writes")

    def __init__(self) -> None:
        """Begin with none; made by `Delivery.effects`."""
        self.collected: list[tuple[Any, ...]] = []
        """What was asked for, in order: ("hincrby", "key", "field", 1), ("put", "queue", item); for tests to look at."""
        self.writes: list[Write] = []
        """The same as it travels."""
        self.sealed = False
        """Whether they are on their way: nothing can be added any more."""
        self._operands = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.collected)

    def hincrby(self, key: str, field: Value, amount: int = 1) -> None:
        """Add to the number in a field of a hash.

        :raises ValueError, TypeError: (as all of these) when an argument can not be sent; nothing is collected then.
        """
        self._collect("hincrby", key, field, _amount(amount))

    def hset(self, key: str, field: Value, value: Value) -> None:
        """Set a field of a hash."""
        self._collect("hset", key, field, value)

    def set(self, key: str, value: Value) -> None:
        """Set a key, whatever it held."""
        self._collect("set", key, value)

    def incrby(self, key: str, amount: int = 1) -> None:
        """Add to the number in a key."""
        self._collect("incrby", key, _amount(amount))

    def rpush(self, key: str, *values: Value) -> None:
        """Append to a list."""
        self._collect("rpush", key, *_some(values))

    def sadd(self, key: str, *members: Value) -> None:
        """Add to a set."""
        self._collect("sadd", key, *_some(members))

    def delete(self, key: str) -> None:
        """Delete a key."""
        self._collect("delete", key)

    def expire(self, key: str, seconds: float) -> None:
        """Have a key go after so many seconds."""
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= _LONGEST:
            raise ValueError(f"a key is kept for more than 0 seconds and ten years at most, not {seconds!r:.100}")
        milliseconds = b"%d" % math.ceil(seconds * 1000)
        self._add(Write("expire", _key(key), [milliseconds]), ("expire", key, seconds))

    def put(self, queue: Puttable[T_contra], item: T_contra) -> None:
        """Put an item into a queue on the same server.

        It goes in with the acknowledgement. When the queue is full it waits there in line, in its turn, though this process
        dies; and while more of them wait than this process handles messages at once, it takes no more. Queues that share a
        `group=` share a hash slot.

        :raises ValueError, TypeError, MessageTooLarge: as `Queue.put`.
        """
        destination, tail = queue.onward(item)
        self._add(Write("put", destination, [tail]), ("put", queue.name, item))

    def _collect(self, command: str, key: str, *operands: Value) -> None:
        write = Write(command, _key(key), [_packed(operand) for operand in operands])
        self._add(write, (command, key, *operands))

    def _add(self, write: Write, asked: tuple[Any, ...]) -> None:
        if self.sealed:
            raise RuntimeError("this delivery is acknowledged already: collect its effects before")
        operands = self._operands + 1 + len(write.operands)
        size = self._bytes + sum(map(len, write.operands))
        if operands > _MOST_OPERANDS or size > _MOST_BYTES:
            raise ValueError(
                f"the effects of one delivery are too many: {operands} operands with {size} bytes; {_MOST_OPERANDS} and "
                f"{_MOST_BYTES} is the limit. Make more messages of it"
            )
        self._operands, self._bytes = operands, size
        self.collected.append(asked)
        last = self.writes[-1] if self.writes else None
        if last is not None and last.command == write.command in _JOINABLE and last.key == write.key:
            last.operands.extend(write.operands)
        else:
            self.writes.append(write)

    def to_json(self) -> list[list[Any]]:
        """All that was asked for, as JSON can hold it: for a handler in another process."""
        return [
            [{"bytes": base64.b64encode(one).decode()} if isinstance(one, bytes) else one for one in asked]
            for asked in self.collected
        ]

    def add_json(self, calls: list[list[Any]]) -> None:
        """Ask for what `to_json` tells. A put onward does not travel: its queue belongs to a session.

        :raises ValueError: when it is none of ours.
        """
        for command, *arguments in calls:
            if command not in _COMMANDS:
                raise ValueError(f"no effect that can travel is called {command!r:.100}")
            given = [base64.b64decode(one["bytes"]) if isinstance(one, dict) else one for one in arguments]
            getattr(self, command)(*given)

    @property
    def weight(self) -> int:
        """How many words they are in a call, about."""
        return self._operands + 3 * len(self.writes)

    @property
    def size(self) -> int:
        """Bytes of their operands."""
        return self._bytes

    def destinations(self) -> Iterable[Destination]:
        """The queues that are put to."""
        return {id(write.key): write.key for write in self.writes if not isinstance(write.key, bytes)}.values()

    def written_keys(self) -> Iterable[bytes]:
        """The keys that are written to."""
        return dict.fromkeys(write.key for write in self.writes if isinstance(write.key, bytes))


def _key(key: str) -> bytes:
    if not isinstance(key, str) or not key:
        raise ValueError(f"a key is a text that is not empty, not {key!r:.100}")
    return key.encode()


def _amount(amount: int) -> int:
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise TypeError(f"an amount is a whole number, not {amount!r:.100}")
    if abs(amount) > _LARGEST:
        raise ValueError(f"an amount is less than 2**53 either way, not {amount}")
    return amount


def _some(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if not values:
        raise ValueError("there is nothing to add: give at least one value")
    return values


def _packed(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()  # a UnicodeEncodeError is a ValueError
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"what is written is text, bytes or a number, not {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"what is written is a finite number, not {value!r}")
    # Not as a subclass would show it: an IntEnum, a float of numpy.
    return b"%d" % value if isinstance(value, int) else float.__repr__(value).encode()
