"""Outgoing entries: a message encoded and packed with its headers, for a lane that numbers it."""

import re
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from shared.concurrency.queues.encoding.codec import Codec, digest
from shared.concurrency.queues.encoding.entry import pack_headers, pack_middle

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
        self, codec: Codec[T], number: Callable[[bytes, bytes], E], *, known_for: float, results_for: float
    ) -> None:
        """`number` makes an entry of what stands behind its key; `known_for`, `results_for`: seconds, see Queue."""
        self._codec = codec
        self._number = number
        self._known_ms = max(1, round(known_for * 1000))
        self._kept: dict[str, str | int] = {} if results_for == KEPT_FOR else {"results_ms": round(results_for * 1000)}
        self._asking: dict[str | None, bytes] = {}
        """Class -> what stands between key and body where the result is asked for; without an id it never changes."""

    def plain(self, item: T) -> E:
        """An entry without an id, whose result nobody asks for.

        :raises ValueError, TypeError, MessageTooLarge: when the item cannot be sent.
        """
        shape, body = self._codec.encode(item)
        return self._number(shape.middle, body)

    def entry(self, item: T, id_: str | None, *, is_asked: bool = False) -> E:
        """An entry with an id, or whose result is asked for, or neither.

        :raises ValueError: when the id is none. Otherwise as `plain`.
        """
        if id_ is not None:
            check_id(id_)
        if id_ is None and not is_asked:
            return self.plain(item)
        shape, body = self._codec.encode(item)
        headers = shape.headers | self._kept if is_asked else shape.headers
        if id_ is not None:
            return self._number(
                with_id(headers, id_, digest(shape.name, body), self._known_ms, is_asked=is_asked), body
            )
        if shape.name not in self._asking:
            self._asking[shape.name] = pack_middle(pack_headers(headers), has_id=False, is_asked=True)
        return self._number(self._asking[shape.name], body)

    def forwarded(self, item: T, number: Callable[[bytes, bytes], bytes]) -> bytes:
        """An entry that travels with an acknowledgement; `number` makes it. Raises what `plain` raises."""
        shape, body = self._codec.encode(item)
        return number(shape.middle, body)


def with_id(
    headers: dict[str, str | int], id_: str, body_digest: str, known_ms: int, *, is_asked: bool = False
) -> bytes:
    """What stands between the key and the body of an entry with an id. `body_digest`: of its type and body.

    :raises ValueError: when the headers are longer than an entry can say.
    """
    headers = headers | {"id": id_, "digest": body_digest, "known_ms": known_ms}
    return pack_middle(pack_headers(headers), has_id=True, is_asked=is_asked)
