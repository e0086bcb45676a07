"""Message: the base of all message classes, which knows them by their names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar, Unpack

from shared.concurrency import Priority
from shared.concurrency.queues.encoding.flow import DeclaredWay
from shared.concurrency.queues.encoding.versions import Versions
from shared.message_way import makers_of_way

R = TypeVar("R", default=Any)


class Message(BaseModel, Generic[R]):
    """The base of all messages: subclass it, and the class is known to the pipeline by its name.

    Closed, so that a message that was misspelt is refused where it is put, not where it is handled. Where Python makes
    one, values are converted as pydantic does by default ("2026-01-01T00:00:00Z" to a datetime, [1, 2] to a tuple), so
    that a class is the body of an HTTP request too; what is read from the queue is held to the types strictly, and
    fields that the class does not have are ignored there: another process may have a newer class. `class
    Resize(Message[Size])` declares the type of the result, for whoever submits it; without one, any JSON value is a
    result.

    `class Charge(Message, version=2, formerly=("Bill",))`: `version` is one higher for each change that is more than a
    new field with a default, with a function under `@upgrades` for each older one; `formerly` are names that the class
    had. docs/messages-that-change.md says what to do for each kind of change. Neither is inherited.

    `class Charge(Message, key="customer", share="tenant", priority=Priority.LOW, limit="bank")`: what its messages ask
    of their way, where `put` does not say it. Messages of one key are handled one at a time, in the order in which they
    were put; shares get turns alike; and a limit is one that the queue may have. `key` and `share` are names of fields
    that hold text, `limit` is a name itself; each of the four may be a function of the message. Classes below inherit
    them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    _classes: ClassVar[dict[str, type["Message"]]] = {}
    _former: ClassVar[dict[str, type["Message"]]] = {}
    _versions: ClassVar[dict[type["Message"], Versions]] = {}
    _ways: ClassVar[dict[type["Message"], dict[str, Callable[[Any], object]]]] = {}

    def __init_subclass__(
        cls,
        *,
        version: int = 1,
        formerly: tuple[str, ...] = (),
        key: str | Callable[[Any], object] | None = None,
        share: str | Callable[[Any], object] | None = None,
        priority: Priority | Callable[[Any], object] | None = None,
        limit: str | Callable[[Any], object] | None = None,
        **config: Unpack[ConfigDict],
    ) -> None:
        """Take what a class says of itself, for type checkers; see __pydantic_init_subclass__."""
        super().__init_subclass__(**config)

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        version: int = 1,
        formerly: tuple[str, ...] = (),
        key: str | Callable[[Any], object] | None = None,
        share: str | Callable[[Any], object] | None = None,
        priority: Priority | Callable[[Any], object] | None = None,
        limit: str | Callable[[Any], object] | None = None,
        **_: Any,
    ) -> None:
        """Register the class.

        :raises TypeError: when another message class has its name already, or a former one: messages travel by name.
            When `version` is no int, or `formerly` no tuple of names, or `key` or `share` neither a field nor a
            function, or `priority` or `limit` none, and no function either.
        :raises ValueError: when `version` is less than 1, `priority` out of range, or `limit` empty or too long.
        """
        if cls.__pydantic_generic_metadata__["origin"] is not None:
            return  # Message[Size] is no message, but what a class of them is made of
        name = cls.__name__
        _check_version(name, version)
        _check_former_names(name, formerly)
        way = makers_of_way(name, cls.model_fields, key=key, share=share, priority=priority, limit=limit)
        for each in (name, *formerly):
            known = Message._classes.get(each) or Message._former.get(each) or cls
            if known is not cls:
                raise TypeError(
                    f"two message classes are called {each}, or were ({known.__module__}.{known.__name__}, "
                    f"{cls.__module__}.{name}): rename one"
                )
        Message._classes[name] = cls
        Message._former |= dict.fromkeys(formerly, cls)
        Message._versions[cls] = Versions(version)
        Message._ways[cls] = way

    @classmethod
    def result_type(cls) -> type[R]:
        """The declared type of the result."""
        for base in cls.__mro__:
            about = getattr(base, "__pydantic_generic_metadata__", None)
            if about is not None and about["origin"] is Message:
                declared: type[R] = about["args"][0]
                return declared
        anything: Any = Any
        return anything  # type: ignore[no-any-return]

    @classmethod
    def registered(cls) -> Mapping[str, type["Message"]]:
        """All message classes, by the name they travel under."""
        return MappingProxyType(Message._classes)

    @classmethod
    def formerly_registered(cls) -> Mapping[str, type["Message"]]:
        """The classes that had another name, by each name that they had."""
        return MappingProxyType(Message._former)

    @classmethod
    def stored_versions(cls) -> Versions:
        """The version of the class, and what upgrades older messages."""
        return Message._versions[cls]

    @classmethod
    def declared_way(cls) -> DeclaredWay | None:
        """What its messages ask of their way, where it or a class above declares anything of it."""
        makers: dict[str, Callable[[Any], object]] = {}
        for base in reversed(cls.__mro__):
            makers |= Message._ways.get(base, {})
        return DeclaredWay(makers) if makers else None


def _check_version(name: str, version: object) -> None:
    if isinstance(version, bool) or not isinstance(version, int):
        raise TypeError(f"{name}: version= is a whole number from 1, not {version!r:.100}")
    if version < 1:
        raise ValueError(f"{name}: version= is a whole number from 1, not {version}: leave it out for the first")


def _check_former_names(name: str, formerly: object) -> None:
    if not isinstance(formerly, tuple) or not all(isinstance(each, str) and each for each in formerly):
        raise TypeError(f'{name}: formerly= is a tuple of names, as in formerly=("Bill",), not {formerly!r:.100}')
    if name in formerly or len(set(formerly)) < len(formerly):
        raise ValueError(f"{name}: formerly= holds each name that the class had once, and not the one it has")
