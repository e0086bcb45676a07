"""From a message to the bytes that travel, and back: what comes back equals what went in."""

import hashlib
import json
import re
import traceback
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from shared.concurrency.errors import MessageTooLarge, describe
from shared.concurrency.queues.encoding.entry import pack_headers, read
from shared.concurrency.queues.encoding.flow import DeclaredWay
from shared.concurrency.queues.encoding.form import EntryForm
from shared.concurrency.queues.encoding.lossless import lossless_up_to
from shared.concurrency.queues.encoding.unreadable import TooNew, UnknownType, Unreadable
from shared.concurrency.queues.encoding.versions import ONLY, Versions

T = TypeVar("T")

LONGEST_TRACE: Final = 8192
"""Characters of a traceback that are kept."""

# Raises where pydantic warns of a value that is not of its field's type, in this module alone:
# `to_json(warnings="error")` does the same and costs more than the writing itself.
warnings.filterwarnings("error", "Pydantic serializer warnings", UserWarning, rf"{re.escape(__name__)}$")

_STRICT: Final = ConfigDict(strict=True, allow_inf_nan=False)


_Usual = tuple[Callable[[bytes], object], int, Callable[[bytes], int], Callable[[bytes], Any]]
"""Whether an entry is of one class and says nothing of its way, where its body begins then, where it begins in an entry
that does or has a trace (0 where it is none), and what reads it. Together: each message asks for all, and takes them
apart at once."""


def _nowhere(_: bytes) -> int:
    """As the class of no message finds its body."""
    return 0


class Shape:
    """How one class of messages, or one type of results, is written and read."""

    def __init__(self, tp: Any, name: str | None) -> None:
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(tp, config=_STRICT)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            adapter = TypeAdapter(tp)  # a model says itself how strict it is
        self.name = name
        self.versions: Versions = tp.stored_versions() if hasattr(tp, "stored_versions") else ONLY
        self.headers: dict[str, str | int] = {} if name is None else {"type": name}
        if self.versions.number > 1:
            self.headers["v"] = self.versions.number
        self.form: Final = EntryForm(pack_headers(self.headers))
        self.middle = self.form.middle
        self.way: DeclaredWay | None = tp.declared_way() if hasattr(tp, "declared_way") else None
        """What the class declares of the way of its messages."""
        self.write: Callable[..., bytes] = adapter.serializer.to_json
        self.read: Callable[..., Any] = adapter.validator.validate_json
        self.is_tolerant = hasattr(tp, "registered")
        """Whether fields that the class does not have are ignored where it is read: of the classes of a registry."""
        if self.is_tolerant:
            # A registry's classes convert what Python gives them; what is stored was written by one of them.
            self.read = partial(self.read, strict=True)
        self._validate: Callable[[Any], Any] = adapter.validator.validate_python
        self.lossless_up_to = lossless_up_to(adapter.core_schema)
        """Bytes of a body that need not be read back and compared."""
        self._checked: set[type] = set()

    def read_tolerantly(self, body: bytes) -> Any:
        """Read what another process wrote, whose class may have more fields than ours, nested ones too.

        First as it is: a union chooses by the fields that its classes have.
        """
        try:
            return self.read(body)
        except ValidationError as error:
            if not self.is_tolerant or not any(each["type"] == "extra_forbidden" for each in details(error)):
                raise
        return self.read(body, extra="ignore")

    def write_validated(self, value: Any) -> bytes:
        """Write what nobody has validated; what comes back equals it.

        :raises ValueError: when it is not of this type, or would not come back the same.
        """
        try:
            self._validate(value)
            body = self.write(value)
        except ValidationError as error:
            raise ValueError(short(error)) from error
        except (PydanticSerializationError, UserWarning) as error:
            raise ValueError(f"it cannot be written as JSON: {error}") from error
        # As for messages.
        if type(value) not in self._checked or len(body) > self.lossless_up_to or b"null" in body:
            self.compare(value, body, "it")
            self._checked.add(type(value))
        return body

    def compare(self, value: Any, body: bytes, name: str) -> None:
        """Read what was written of a value, and compare. `name`: what the error calls it.

        :raises ValueError: when it comes back as something else, or not at all.
        """
        try:
            back = self.read(body)
            is_same = type(back) is type(value) and bool(back == value)
        except ValidationError as error:
            raise ValueError(f"{name} would not come back the same: {short(error)}") from error
        except Exception as error:  # its class has code of its own, which may raise anything
            raise ValueError(f"{name} would not come back the same: {type(error).__name__}: {error}") from error
        if not is_same:
            raise ValueError(f"{name} would not come back the same: {value!r:.200} as {back!r:.200}")


class Codec(Generic[T]):
    """Writes and reads the messages of one queue.

    A pydantic model travels with its class name. When the model offers `registered()`, a mapping of names to classes,
    any of those classes may be put, and comes back as itself; it is read strictly, whatever it is when Python makes it.
    """

    def __init__(self, tp: type[T], max_message_bytes: int) -> None:
        """Prepare the declared type.

        :raises pydantic.PydanticSchemaGenerationError: when pydantic cannot validate it.
        """
        self._max_bytes = max_message_bytes
        self._type = tp
        is_model = isinstance(tp, type) and issubclass(tp, BaseModel)
        self._registered = cast(
            "Callable[[], Mapping[str, type]] | None", getattr(tp, "registered", None) if is_model else None
        )
        self._formerly: Callable[[], Mapping[str, type]] = getattr(tp, "formerly_registered", dict)
        self._shapes: dict[str | None, Shape] = {}
        self._checked: dict[type, Shape] = {}
        self._usual: _Usual = (_nowhere, 0, _nowhere, _nowhere)
        """How the last message was read."""
        self._is_model = is_model
        if self._registered is None:
            name = tp.__name__ if is_model else None
            self._shapes[name] = Shape(tp, name)

    def _shape(self, name: str | None) -> Shape | None:
        shape = self._shapes.get(name)
        if shape is None and self._registered is not None and name is not None:
            tp = self._registered().get(name) or self._formerly().get(name)
            if tp is not None:
                shape = self._shapes[name] = Shape(tp, name)
        return shape

    def encode(self, item: T) -> tuple[Shape, bytes]:
        """Write a message: its shape and its body.

        :raises TypeError: when it is not of the queue's type.
        :raises ValueError: when it would not come back the same.
        :raises MessageTooLarge: when the body is larger than the queue takes.
        """
        checked = self._checked.get(type(item))
        shape = checked or self._shape_of(item)
        try:
            body = shape.write(item)
        except (PydanticSerializationError, UserWarning) as error:
            raise ValueError(f"this {type(item).__name__} cannot be written as JSON: {error}") from error
        size = len(body)
        if size > self._max_bytes:
            raise MessageTooLarge(
                f"the message has {size} bytes, the queue takes {self._max_bytes}: send a reference to the data instead"
            )
        # Where NaN hides there is a null. The first of a class shows what the class never keeps.
        if checked is None or size > shape.lossless_up_to or b"null" in body:
            shape.compare(item, body, f"this {type(item).__name__}")
            self._checked[type(item)] = shape
        return shape, body

    def _shape_of(self, item: T) -> Shape:
        shape = self._shape(type(item).__name__ if self._is_model else None)
        if shape is None or (self._is_model and not isinstance(item, self._type)):
            raise TypeError(f"this queue takes {self._type.__name__}, not {type(item).__name__}")
        return shape

    def open(self, entry: bytes) -> T:
        """Read the message of an entry.

        :raises Unreadable: when it is no entry, or as `decode`.
        """
        matches, at, longer_body_at, read_body = self._usual
        if (matches(entry) or (at := longer_body_at(entry))) and len(entry) <= self._max_bytes:
            # As the last one: of the same class, and without an id.
            try:
                return read_body(entry[at:])  # type: ignore[no-any-return]  # cast() is a call
            except BaseException:  # noqa: BLE001, S110  # a class has code of its own, which may raise anything
                pass  # said in full below
        try:
            stored = read(entry)
            version = stored.version
        except ValueError as error:
            raise Unreadable("undecodable", f"not an entry: {error}") from error
        item = self.decode(stored.type_name, stored.body, version)
        shape = self._shapes[stored.type_name]
        self._usual = shape.form.matches, shape.form.body_at, shape.form.longer_body_at, shape.read
        return item

    def decode(self, name: str | None, body: bytes, version: int = 1) -> T:
        """Read a message; one of an older version is upgraded before.

        :raises Unsupported: when the class is unknown here, or older than the message.
        :raises Unreadable: when it is too large, no JSON, not valid, or cannot be upgraded.
        """
        if len(body) > self._max_bytes:
            raise Unreadable("too_large", f"{len(body)} bytes, and the queue takes {self._max_bytes}")
        shape = self._shape(name)
        if shape is None:
            raise UnknownType(name, version)
        if version > shape.versions.number:
            raise TooNew(name, version, shape.versions.number)
        if version < shape.versions.number:
            body = _upgraded(shape, body, version)
        try:
            return cast("T", shape.read_tolerantly(body))
        except ValidationError as error:
            broken = any(problem["type"] == "json_invalid" for problem in details(error))
            raise Unreadable("undecodable" if broken else "invalid", short(error)) from error
        except ValueError as error:
            raise Unreadable("undecodable", str(error)) from error
        except BaseException as error:  # a validator in Rust that panics, or one that exits, too
            raise Unreadable("invalid", describe(error)) from error


def _upgraded(shape: Shape, body: bytes, version: int) -> bytes:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable("undecodable", f"no JSON: {error}") from error
    try:
        return shape.versions.upgraded(found, version)
    except BaseException as error:  # a function of the application may raise anything
        report = f"the upgrade of {shape.name} from version {version} failed: {describe(error)}"
        raise Unreadable("invalid", report, "".join(traceback.format_exception(error))[-LONGEST_TRACE:]) from error


def digest(name: str | None, body: bytes) -> str:
    """What tells two messages under one id apart."""
    return hashlib.blake2b(f"{name}\0".encode() + body, digest_size=12).hexdigest()


def short(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = details(error)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def details(error: ValidationError) -> list[Any]:
    """All that is wrong, without the values."""
    return error.errors(include_input=False, include_url=False, include_context=False)
