"""Results on their way: from what a handler returned to the bytes that travel, and back."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import JsonValue, ValidationError

from shared.concurrency.errors import InvalidResult, ResultTooLarge, describe
from shared.concurrency.queues.encoding.codec import Shape, short
from shared.concurrency.queues.encoding.entry import KEY

_RESULT: Final = b"="
_LENGTH: Final = 5


class Written(bytes):
    """A result that is encoded already (in the process that its handler ran in)."""


class ResultCodec:
    """Writes and reads the results of one queue.

    The type of a result is declared with the queue, or by the class of the message, which offers `result_type()` then.
    Where nothing is declared, any JSON value is a result.
    """

    def __init__(self, declared: Any, max_bytes: int) -> None:
        """Prepare. `declared`: the type of all results, None where the classes of the messages declare it.

        :raises pydantic.PydanticSchemaGenerationError: when pydantic cannot validate it.
        """
        self._max_bytes = max_bytes
        self._shapes: dict[type, Shape] = {}
        self._readers: dict[type, Callable[[bytes], Any]] = {}
        self._only = None if declared is None else Shape(declared, None)

    def _shape(self, kind: type) -> Shape:
        if self._only is not None:
            return self._only
        shape = self._shapes.get(kind)
        if shape is None:
            ask: Callable[[], Any] | None = getattr(kind, "result_type", None)
            declared = Any if ask is None else ask()
            shape = self._shapes[kind] = Shape(JsonValue if declared is Any else declared, None)
        return shape

    def write(self, item: object, result: object) -> Written:
        """Write the result of handling a message.

        :raises InvalidResult: when it is not of the declared type, or would not come back the same.
        :raises ResultTooLarge: when it has more bytes than a message of the queue may have.
        """
        if isinstance(result, Written):
            body = result
        else:
            try:
                body = Written(self._shape(type(item)).write_validated(result))
            except BaseException as error:  # what is declared has code of its own, which may raise anything
                what = type(item).__name__
                raise InvalidResult(f"this {type(result).__name__} is no result of {what}: {_said(error)}") from error
        if len(body) > self._max_bytes:
            raise ResultTooLarge(
                f"the result has {len(body)} bytes, the queue takes {self._max_bytes}: return a reference to the data instead"
            )
        return body

    def outcome(self, item: object, result: object) -> bytes:
        """The result as it travels to whoever asked for it. Raises what `write` raises."""
        return _RESULT + self.write(item, result)

    def reader(self, kind: type) -> Callable[[bytes], Any]:
        """The function that reads a result of a message of this class; it raises InvalidResult.

        `object` stands for any class that declares no result: its result is any JSON value.
        """
        reader = self._readers.get(kind)
        if reader is None:
            reader = self._readers[kind] = self._new_reader(kind)
        return reader

    def _new_reader(self, kind: type) -> Callable[[bytes], Any]:
        shape = self._shape(kind)

        def read(body: bytes) -> Any:
            try:
                return shape.read(body)
            except ValidationError as error:
                raise InvalidResult(f"what came is no result of {kind.__name__}: {short(error)}") from error
            except BaseException as error:
                raise InvalidResult(f"what came is no result of {kind.__name__}: {_said(error)}") from error

        return read


def outcomes_in(told: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The key and the outcome of each message that a notification `results` is about; ends where it is none of ours."""
    at = 0
    while (length := told[at + KEY : at + KEY + _LENGTH]).isdigit():
        key, begin = told[at : at + KEY], at + KEY + _LENGTH
        at = begin + int(length)
        yield key, told[begin:at]


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, ValueError) else describe(error)
