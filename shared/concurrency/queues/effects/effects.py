"""Effects: writes that a handler collects, to be made with the acknowledgement of its delivery or not at all."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar, overload

from shared.concurrency.checks import check_seconds
from shared.concurrency.queues.effects.forwards import Destination
from shared.concurrency.queues.effects.writes import LARGEST, Writes
from shared.concurrency.queues.encoding.flow import Priority, Way, check_name, way_asked
from shared.concurrency.queues.encoding.unique import once_of

T_contra = TypeVar("T_contra", contravariant=True)
S = TypeVar("S", bound=Sequence[Any])
F = TypeVar("F", str, bytes, int, float)

Value = str | bytes | int | float
"""What a key, a field or a member may be given; numbers are written as text."""

_LONGEST: Final = 10 * 365 * 86400.0
_COMMANDS: Final = ("hincrby", "hset", "set", "incrby", "rpush", "sadd", "delete", "expire")


class Puttable(Protocol[T_contra]):
    """A queue, as far as it is put to."""

    @property
    def name(self) -> str:
        """What it is called."""

    def _forward(self, item: T_contra, way: Way | None, once: str | None = None) -> tuple[Destination, bytes]:
        """Encode an item for a put that travels with an acknowledgement."""


class Effects:
    """Writes that are made in the same step as the acknowledgement, if and only if the delivery is still its own.

    So each happens exactly once for each message, whatever is killed. They are collected without asking the server,
    and forgotten when the handler fails. The server looks at all of them before it makes the first: when one cannot be
    made (a key holds another type, a number would reach 2**53, the end of what a double holds exactly), `ack` raises
    EffectRefused and nothing is written. When the server's memory is full nothing is written either, and the
    acknowledgement waits.

    One delivery makes one kind of write on a key: a second kind is a ValueError. `expire` goes beside any other, and
    one hash takes `hincrby` and `hset` on different fields. The same kind may be asked for again: amounts add up, the
    last value of `hset`, `set` and `expire` counts.

    All writes of one delivery but its plain puts are one call of the server, of less than 10 ms: 1,200 keys, or 2,400
    fields for `hincrby`, or 12,000 for `hset`, or 24,000 values in lists and sets, or 500 of `put_unique`, or shares
    of these. One more is a ValueError: make more messages of it.

    Keys share the hash slot of the queue on a Cluster: `{jobs}:counts` for the queue `jobs`.
    """

    __slots__ = ("_writes",)

    def __init__(self) -> None:
        """Begin with none; made by `Delivery.effects`."""
        self._writes = Writes()

    def __len__(self) -> int:
        return len(self._writes)

    @overload
    def hincrby(self, key: str, field: Value, amount: int = 1) -> None: ...
    @overload
    def hincrby(self, key: str, field: Mapping[F, int]) -> None: ...
    def hincrby(self, key: str, field: Value | Mapping[F, int], amount: int = 1) -> None:
        """Add to the number in a field of a hash, or to those in many: `hincrby(key, {field: amount, ...})`.

        :raises ValueError, TypeError: (as all of these) when an argument cannot be sent, or the key has another kind of
            write already; nothing is collected then.
        """
        if not isinstance(field, str) and isinstance(field, Mapping):  # the second takes much longer
            amounts = dict(field)
            self._writes.add("hincrby", _key(key), _some(_packed_amounts(amounts)), ("hincrby", key, amounts))
        else:
            # The most usual of all, so without a list and a function more.
            operands = [_packed(field), b"%d" % _amount(amount)]
            self._writes.add("hincrby", _key(key), operands, ("hincrby", key, field, amount))

    @overload
    def hset(self, key: str, field: Value, value: Value) -> None: ...
    @overload
    def hset(self, key: str, field: Mapping[F, Value]) -> None: ...
    def hset(self, key: str, field: Value | Mapping[F, Value], value: Value | None = None) -> None:
        """Set a field of a hash, or many: `hset(key, {field: value, ...})`."""
        if isinstance(field, Mapping):
            fields = dict(field)
            operands = [_packed(operand) for pair in fields.items() for operand in pair]
            self._writes.add("hset", _key(key), _some(operands), ("hset", key, fields))
        elif value is None:
            raise TypeError("hset() takes a field and its value, or a mapping of fields to values")
        else:
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
        """Have a key go after so many seconds, ten years at most."""
        check_seconds("the time that a key is kept", seconds, 0.001, _LONGEST)
        milliseconds = b"%d" % math.ceil(seconds * 1000)
        self._writes.add("expire", _key(key), [milliseconds], ("expire", key, seconds))

    def put(
        self,
        queue: Puttable[T_contra] | str,
        item: T_contra,
        *,
        key: str | None = None,
        share: str | None = None,
        priority: Priority | None = None,
        limit: str | None = None,
    ) -> None:
        """Put an item into a queue on the same server; in a handler in a process of its own, by the queue's name.

        It goes in with the acknowledgement. When the queue is full it waits there, in its turn, though this process
        dies; and while more of them wait than this process handles messages at once, it takes no more. Queues that
        share a `group=` share a hash slot. A handler in a thread may use it as well. More than a thousand of one
        delivery count from the acknowledgement on, all or none, and are let in a thousand at a time. `key`, `share`,
        `priority` and `limit`: as `Queue.put`.

        :raises ValueError, TypeError, MessageTooLarge: as `Queue.put`.
        """
        way = way_asked(priority, share, key, limit)
        if isinstance(queue, str):
            self._put_by_name(queue, item, way)
            return
        forward(self, queue, item, way)

    def put_unique(
        self,
        queue: Puttable[T_contra] | str,
        item: T_contra,
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
    ) -> None:
        """Put an item of which one at most waits under a name; with the acknowledgement, as `put`.

        In that step the message of the name that waits is left, or with `replace` has this item: a full queue takes it
        too. Otherwise it is a new message, which waits without an owner where there is no room, and several of a name
        that wait so are one. What was put last is handled after the acknowledgement. Nobody is told which it was. A
        thousand of one delivery at most; beside more puts than a thousand these go in first. The rest: as
        `Queue.put_unique`.

        :raises ValueError, TypeError, MessageTooLarge: as `Queue.put_unique`.
        """
        once = once_of(replace=replace, calm=calm, longest=longest, every=every)
        way = Way(priority, share, key, limit, check_name("once", name))
        if isinstance(queue, str):
            self._put_by_name(queue, item, way, once)
            return
        forward(self, queue, item, way, once)

    def _put_by_name(self, queue: str, item: object, way: Way | None, once: str | None = None) -> None:  # noqa: ARG002  # for those who can
        called = "put" if once is None else "put_unique"
        raise TypeError(
            f"effects.{called}() takes a queue here, as pipeline.queues[{queue!r:.100}]; its name in a process alone"
        )

    def _collect(self, command: str, key: str, *operands: Value) -> None:
        self._writes.add(command, _key(key), [_packed(operand) for operand in operands], (command, key, *operands))


def writes_of(effects: Effects) -> Writes:
    """What was collected, for the lane that sends it and for whoever tries a handler alone."""
    return effects._writes  # noqa: SLF001  # the only door to it


def forward(
    effects: Effects, queue: Puttable[T_contra], item: T_contra, way: Way | None, once: str | None = None
) -> None:
    """Ask for a put; `once`: as `once_of` makes it, of one that has a name in its way. Raises as `Effects.put`."""
    destination, entry = queue._forward(item, way, once)  # noqa: SLF001  # the only door to it
    named = () if way is None or once is None else (way.once,)
    asked = ("put_unique" if named else "put", queue.name, item, *named)
    writes_of(effects).add("put", destination, [entry], asked)


def add_json(effects: Effects, calls: list[list[Any]]) -> None:
    """Ask for the writes that `Writes.to_json` packed. A forwarded put does not travel: its queue belongs to a session.

    :raises ValueError: when it is none of ours.
    """
    for command, *arguments in calls:
        if command not in _COMMANDS:
            raise ValueError(f"no effect that can travel is called {command!r:.100}")
        getattr(effects, command)(*map(_from_json, arguments))


def _from_json(given: Any) -> Any:
    if isinstance(given, list):  # fields and their values, in turn
        words = list(map(_from_json, given))
        return dict(zip(words[::2], words[1::2], strict=True))
    return base64.b64decode(given["bytes"]) if isinstance(given, dict) else given


def _key(key: str) -> bytes:
    if not isinstance(key, str) or not key:
        raise ValueError(f"a key is a text that is not empty, not {key!r:.100}")
    return key.encode()


def _amount(amount: int) -> int:
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise TypeError(f"an amount is a whole number, not {amount!r:.100}")
    if abs(amount) > LARGEST:
        raise ValueError(f"an amount is less than 2**53 either way, not {amount}")
    return amount


def _packed_amounts(amounts: Mapping[F, int]) -> list[bytes]:
    """Fields and what is added to each, in turn. There may be thousands, so the usual ones take no call each."""
    operands: list[bytes] = []
    for name, by in amounts.items():
        is_usual = type(by) is int and -LARGEST <= by <= LARGEST
        operands.append(name.encode() if type(name) is str else _packed(name))
        operands.append(b"%d" % (by if is_usual else _amount(by)))
    return operands


def _some(values: S) -> S:
    if not values:
        raise ValueError("there is nothing to add: give at least one value")
    return values


def _packed(value: Value) -> bytes:
    if isinstance(value, str):
        return value.encode()  # a UnicodeEncodeError is a ValueError
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"what is written is text, bytes or a number, not {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"what is written is a finite number, not {value!r}")
    # Not as a subclass would show it: an IntEnum, a float of numpy.
    return b"%d" % value if isinstance(value, int) else float.__repr__(value).encode()
