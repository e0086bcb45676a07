"""Outgoing entries: a message encoded and packed with its headers, for a lane that numbers it."""

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from shared.concurrency.queues.encoding.codec import Codec, Shape, digest
from shared.concurrency.queues.encoding.entry import pack_headers, pack_middle, with_flow
from shared.concurrency.queues.encoding.flow import LONGEST_FLOW, Way, pack_flow
from shared.concurrency.queues.encoding.once import HEADER

T = TypeVar("T")
E = TypeVar("E")

KEPT_FOR: Final = 3600.0
"""Seconds for which a result is kept where the entry does not say otherwise."""
_ID: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)


def check_id(id_: object) -> str:
    """The caller's id of a message.

    :raises ValueError: when it is something else.
    """
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise ValueError(f"an id is 1 to 128 printable ASCII characters without spaces, not {id_!r:.200}")
    return id_


class Outgoing(Generic[T, E]):
    """Makes the entries that one queue is put to with."""

    def __init__(
        self,
        codec: Codec[T],
        number: Callable[[bytes, bytes], E],
        *,
        known_for: float,
        results_for: float,
        on_flow: Callable[[], None],
    ) -> None:
        """`number` makes an entry of what stands behind its key; `known_for`, `results_for`: seconds, see Queue.

        `on_flow` is called, in any thread, before an entry is made that says something of its way.
        """
        self._on_flow = on_flow
        self._codec = codec
        self._number = number
        self._known_ms = max(1, round(known_for * 1000))
        self._kept: dict[str, str | int] = {} if results_for == KEPT_FOR else {"results_ms": round(results_for * 1000)}
        self._asking: dict[str | None, bytes] = {}
        """Class -> what stands between key and body where the result is asked for; without an id it never changes."""

    def plain(self, item: T, way: Way | None = None) -> E:
        """An entry without an id, whose result nobody asks for. `way`: None for what its class declares.

        :raises ValueError, TypeError, MessageTooLarge: when the item cannot be sent, or something of its way is wrong.
        """
        shape, body = self._codec.encode(item)
        if way is None and shape.way is None:
            return self._number(shape.middle, body)
        return self._number(self._middle(shape, item, way), body)

    def entry(self, item: T, id_: str | None, way: Way | None = None, *, is_asked: bool = False) -> E:
        """An entry with an id, or whose result is asked for, or neither.

        :raises ValueError: when the id is none. Otherwise as `plain`.
        """
        if id_ is not None:
            check_id(id_)
        if id_ is None and not is_asked:
            return self.plain(item, way)
        shape, body = self._codec.encode(item)
        headers = shape.headers | self._kept if is_asked else shape.headers
        flow = flow_of(shape, item, way)
        if flow:
            self._on_flow()
        if id_ is not None:
            middle = with_id(headers, id_, digest(shape.name, body), self._known_ms, is_asked=is_asked, flow=flow)
            return self._number(middle, body)
        if flow:
            packed = with_flow(pack_headers(headers), flow)
            return self._number(pack_middle(packed, has_id=False, is_asked=True), body)
        if shape.name not in self._asking:
            self._asking[shape.name] = pack_middle(pack_headers(headers), has_id=False, is_asked=True)
        return self._number(self._asking[shape.name], body)

    def unique(self, item: T, way: Way, once: str) -> E:
        """An entry of which one is to wait under the name in its way; `once`: as `once_of` makes it.

        What replaces another has that one's flow in its headers: there is room for any.

        :raises ValueError, TypeError, MessageTooLarge: as `plain`.
        """
        return self._number(*self._unique(item, way, once))

    def _unique(self, item: T, way: Way, once: str) -> tuple[bytes, bytes]:
        shape, body = self._codec.encode(item)
        headers, flow = pack_headers({HEADER: once, **shape.headers}), flow_of(shape, item, way)
        pack_middle(with_flow(headers, LONGEST_FLOW), has_id=False)
        self._on_flow()
        return pack_middle(with_flow(headers, flow), has_id=False), body

    def with_way(self, *asked: object) -> Callable[[T], E]:
        """What makes plain entries that ask this of their way: `asked` as Way, each a value or a function of the item.

        They are checked as each entry is made, and raise what `plain` raises.
        """
        if not any(map(callable, asked)):
            same = Way._make([*asked, None])
            return lambda item: self.plain(item, same)
        return lambda item: self.plain(
            item, Way._make([*(each(item) if callable(each) else each for each in asked), None])
        )

    def forwarded(
        self, item: T, number: Callable[[bytes, bytes], bytes], way: Way | None = None, once: str | None = None
    ) -> bytes:
        """An entry that travels with an acknowledgement; `number` makes it. Raises what `plain` raises.

        `once`: as `unique`, of one that has a name in its way.
        """
        if way is not None and once is not None:
            return number(*self._unique(item, way, once))
        shape, body = self._codec.encode(item)
        return number(self._middle(shape, item, way), body)

    def _middle(self, shape: Shape, item: T, way: Way | None) -> bytes:
        middle = middle_of(shape, item, way)
        if middle is not shape.middle:
            self._on_flow()
        return middle


def flow_of(shape: Shape, item: object, way: Way | None = None) -> str:
    """The header flow of a message, empty for none. `way`: what is asked for it; the rest is as its class declares.

    :raises TypeError, ValueError: when something of it is wrong.
    """
    if shape.way is not None:
        way = shape.way.of(item, way)
    return "" if way is None else pack_flow(way)


def middle_of(shape: Shape, item: object, way: Way | None = None) -> bytes:
    """What stands between the key of the message and its body, of one that may ask something of its way."""
    flow = flow_of(shape, item, way)
    return pack_middle(with_flow(shape.form.packed, flow), has_id=False) if flow else shape.middle


def with_id(
    headers: dict[str, str | int], id_: str, body_digest: str, known_ms: int, *, is_asked: bool = False, flow: str = ""
) -> bytes:
    """What stands between the key and the body of an entry with an id. `body_digest`: of its type and body.

    `flow`: the header flow, empty for none.

    :raises ValueError: when the headers are longer than an entry can say.
    """
    packed = pack_headers(headers | {"id": id_, "digest": body_digest, "known_ms": known_ms})
    return pack_middle(with_flow(packed, flow), has_id=True, is_asked=is_asked)
