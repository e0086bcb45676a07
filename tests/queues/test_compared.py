"""What comes back equals what went in, or is refused: every message, whatever was put before it."""

import dataclasses
import datetime as dt
import decimal
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_serializer,
    field_validator,
)

from shared.concurrency import InvalidResult, Queue, Session
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.results import ResultCodec


class Animal(BaseModel):
    name: str


class Dog(Animal):
    breed: str = ""


@dataclasses.dataclass
class Spot:
    x: int


@dataclasses.dataclass
class BigSpot(Spot):
    size: int = 0


class Visit(BaseModel):
    animal: Animal


class Visits(BaseModel):
    animals: list[Animal]


class Marked(BaseModel):
    spot: Spot


class Anything(BaseModel):
    data: Any = None


class Reading(BaseModel):
    """What is declared so comes back equal, whatever it holds, but for what JSON has no number for."""

    model_config = ConfigDict(frozen=True)

    value: float


class Secretive(BaseModel):
    a: int
    secret: str = Field("", exclude=True)


class Aliased(BaseModel):
    a: int = Field(0, validation_alias="b")


class Rounded(BaseModel):
    x: float

    @field_serializer("x")
    def _round(self, x: float) -> float:
        return round(x, 2)


class Trimmed(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def _trim(cls, text: str) -> str:
        return text.strip()


class Lowered(BaseModel):
    model_config = ConfigDict(str_to_lower=True)
    text: str


class Owned(BaseModel):
    a: int
    _owner: int = PrivateAttr(0)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Measured(BaseModel):
    x: float


class Positive(BaseModel):
    x: int = Field(gt=0)


class Deep(BaseModel):
    inner: "list[Deep]" = []


def owned(by: int) -> Owned:
    made = Owned(a=1)
    made._owner = by
    return made


def spoilt(made: BaseModel, **values: Any) -> Any:
    for name, value in values.items():
        setattr(made, name, value)
    return made


def deep(levels: int) -> Deep:
    made = Deep()
    for _ in range(levels):
        made = Deep(inner=[made])
    return made


AT_NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
ODD_ZONE = dt.timezone(dt.timedelta(hours=2, minutes=30, seconds=15))


@pytest.mark.parametrize(
    "tp,first,changes",
    [
        (Visit, Visit(animal=Animal(name="x")), Visit(animal=Dog(name="x", breed="y"))),
        (Visits, Visits(animals=[]), Visits(animals=[Dog(name="x")])),
        (Marked, Marked(spot=Spot(1)), Marked(spot=BigSpot(1, 2))),
        (Anything, Anything(data=[1]), Anything(data=(1, 2))),
        (Anything, Anything(), Anything(data=AT_NOON)),
        (Anything, Anything(), Anything(data={1, 2})),
        (Anything, Anything(), Anything(data=b"x")),
        (Anything, Anything(), Anything(data=Animal(name="x"))),
        (Anything, Anything(data={}), Anything(data={"price": decimal.Decimal("1.10")})),
        (Anything, Anything(data={}), Anything(data={"inner": {1: 2}})),
        (Anything, Anything(data=0), Anything(data=decimal.Decimal("sNaN"))),
        (Secretive, Secretive(a=1), Secretive(a=1, secret="s")),
        (Aliased, Aliased(), Aliased(b=1)),
        (Rounded, Rounded(x=1.25), Rounded(x=1.239)),
        (Trimmed, Trimmed(text="a"), Trimmed.model_construct(text=" a ")),
        (Lowered, Lowered(text="a"), Lowered.model_construct(text="A")),
        (Owned, Owned(a=1), owned(5)),
        (Open, Open(), Open.model_validate({"more": (1, 2)})),
        (Measured, Measured(x=1.0), spoilt(Measured(x=1.0), x=2**60 + 1)),
        (Positive, Positive(x=1), spoilt(Positive(x=1), x=-1)),
        (Deep, Deep(), deep(150)),
        (object, 1, (1, 2)),
        (dt.datetime | str, "at noon", "2026-01-01T00:00:00"),
        (decimal.Decimal | str, "x", "1.5"),
        (list[object], [], [(1, 2)]),
        (list[float], [1.0], [2**60 + 1]),
        (list[Literal["a"]], ["a"], [b"a"]),
        (Sequence[int], [1], (1, 2)),
        (tuple[object, ...], (1,), ([1], (2,))),
        (dict[int | str, int], {"a": 1}, {1: 1}),
        (dict[str, int], {"a": 1}, {"\ud800": 1}),
        (dict[str, int], {"a": 1}, {None: 1}),
        (dt.time, dt.time(1), dt.time(1, tzinfo=ODD_ZONE)),
        (dt.datetime, AT_NOON, AT_NOON.replace(tzinfo=ODD_ZONE)),
        (decimal.Decimal, decimal.Decimal(1), decimal.Decimal("NaN")),
        (Annotated[int, Field(gt=0)], 1, -1),
    ],
)
def test_what_would_come_back_as_something_else_is_refused_though_it_is_not_the_first(
    tp: Any, first: Any, changes: Any
) -> None:
    codec: Codec[Any] = Codec(tp, 1 << 20)
    shape, body = codec.encode(first)
    assert codec.decode(shape.name, body) == first
    with pytest.raises(ValueError, match=r"would not come back the same|cannot be written as JSON"):
        codec.encode(changes)


async def test_put_refuses_a_second_message_that_would_change_and_sends_nothing(url: str, name: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, Visit)
        await queue.put(Visit(animal=Animal(name="x")))
        for put in (queue.put, queue.put_nowait, queue.submit):
            with pytest.raises(ValueError, match="this Visit would not come back the same"):
                await put(Visit(animal=Dog(name="x", breed="y")))
        with pytest.raises(ValueError, match="this Visit would not come back the same"):
            await queue.put_many([Visit(animal=Dog(name="x", breed="y"))])
        delivery = await queue.get()
        with pytest.raises(ValueError, match="this Visit would not come back the same"):
            delivery.effects.put(queue, Visit(animal=Dog(name="x", breed="y")))
        await delivery.ack()
        assert await queue.qsize() == 0


def test_a_result_is_compared_though_it_is_not_the_first() -> None:
    codec = ResultCodec(Animal, 1000)
    codec.write(None, Animal(name="x"))
    with pytest.raises(InvalidResult, match="would not come back the same"):
        codec.write(None, [Dog(name="x", breed="y")][0])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
async def test_what_json_has_no_number_for_is_refused_though_it_is_not_the_first(
    session: Session, name: str, value: float
) -> None:
    queue = Queue(session, name, Reading)
    await queue.put(Reading(value=1.5))
    with pytest.raises(ValueError, match="come back"):
        await queue.put(Reading(value=value))
    assert await queue.qsize() == 1
