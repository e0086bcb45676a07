"""Which types are known to come back equal, and that whatever is declared does or is refused."""

import datetime as dt
import decimal
import enum
import uuid
from typing import Any, Literal, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from shared.concurrency.queues.encoding.codec import Codec, Shape
from shared.concurrency.queues.encoding.lossless import ALWAYS, NEVER
from tests.instruments.messages import Errand


class Animal(BaseModel):
    name: str


class Dog(Animal):
    breed: str = ""


class Visit(BaseModel):
    animal: Animal


class Colour(enum.Enum):
    RED = 1
    GREEN = "1"


PLAIN = st.sampled_from([int, str, bool, float, bytes, uuid.UUID, dt.date, Colour, None])
DECLARED = st.recursive(
    PLAIN | st.sampled_from([dt.datetime, dt.timedelta, decimal.Decimal, Any, Animal, Literal["a", 1], int | str]),
    lambda inner: st.one_of(
        inner.map(lambda tp: list[tp]),  # type: ignore[valid-type]
        inner.map(lambda tp: dict[str, tp]),  # type: ignore[valid-type]
        inner.map(lambda tp: tuple[tp, ...]),  # type: ignore[valid-type]
        inner.map(lambda tp: Optional[tp]),  # noqa: UP045  # of a type that is only known here
    ),
    max_leaves=3,
)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.integers(2**53, 2**70), st.floats(), st.text(), st.binary(max_size=4),
        st.uuids(), st.dates(), st.datetimes(timezones=st.none() | st.timezones()), st.timedeltas(), st.decimals(),
        st.sampled_from([Colour.RED, Colour.GREEN, Animal(name="x"), Dog(name="x"), "\ud800", "a", "1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3),
    ),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(DECLARED, min_size=1, max_size=3),
    st.sampled_from(["fixed", "new", "spoilt"]),
    st.lists(VALUES, min_size=3, max_size=3),
)
def test_whatever_a_class_declares_a_value_comes_back_equal_or_is_refused(
    declared: list[Any], kind: str, values: list[Any]
) -> None:
    fields: dict[str, Any] = {f"f{number}": (tp, ...) for number, tp in enumerate(declared)}
    cls = create_model("Made", __config__=ConfigDict(frozen=kind == "fixed"), **fields)
    given_ = dict(zip(fields, values, strict=False))
    try:
        item = cls.model_construct(**given_) if kind == "spoilt" else cls(**given_)
    except (ValidationError, decimal.InvalidOperation):  # an Enum compares its values with a signalling NaN
        return
    codec: Codec[Any] = Codec(cls, 1 << 20)
    codec._checked[cls] = codec._shapes["Made"]  # as if another of its class had been put before
    try:
        shape, body = codec.encode(item)
    except ValueError:
        return
    back = codec.decode(shape.name, body)
    assert (type(back), back) == (type(item), item)


class Plain(BaseModel):
    a: int
    b: str | None = None
    c: list[str] = []
    d: Colour = Colour.RED


class Fixed(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    a: float
    b: str = Field("x", max_length=9)


@pytest.mark.parametrize(
    "tp,bytes_",
    [
        (str, ALWAYS),
        (list[str], ALWAYS),
        (Fixed, ALWAYS),
        (int, 4300),
        (Plain, 4300),
        (Errand, 4300),
        (Visit, NEVER),
    ],
)
def test_what_cannot_change_is_not_read_back(tp: Any, bytes_: int) -> None:
    assert Shape(tp, None).lossless_up_to == bytes_


@pytest.mark.parametrize("tp", [int, Plain])
def test_an_integer_that_nobody_can_read_is_refused(tp: Any) -> None:
    codec: Codec[Any] = Codec(tp, 1 << 20)
    made = (lambda number: number) if tp is int else (lambda number: Plain(a=number))
    for digits in (1, 4299):
        shape, body = codec.encode(made(10**digits))
        assert codec.decode(shape.name, body) == made(10**digits)
    with pytest.raises(ValueError, match="would not come back the same"):
        codec.encode(made(10**4400))
