"""Message: the base of all message classes, which knows them by their names."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar

R = TypeVar("R", default=Any)


class Message(BaseModel, Generic[R]):
    """The base of all messages: subclass it, and the class is known to the pipeline by its name.

    Closed, so that a message that was misspelt is refused where it is put, not where it is handled. Where Python makes
    one, values are converted as pydantic does by default ("2026-01-01T00:00:00Z" to a datetime, [1, 2] to a tuple), so
    that a class is the body of an HTTP request too; what is read from the queue is held to the types strictly. `class
    Resize(Message[Size])` declares the type of the result, for whoever submits it; without one, any JSON value is a
    result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    _classes: ClassVar[dict[str, type["Message"]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Register the class.

        :raises TypeError: when another message class has its name already: messages travel by name.
        """
        if cls.__pydantic_generic_metadata__["origin"] is not None:
            return  # Message[Size] is no message, but what a class of them is made of
        known = Message._classes.setdefault(cls.__name__, cls)
        if known is not cls:
            raise TypeError(
                f"two message classes are called {cls.__name__} ({known.__module__}, {cls.__module__}): rename one"
            )

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
