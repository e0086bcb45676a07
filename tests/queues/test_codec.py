"""What comes back equals what went in, or is refused; what is stored is read or becomes a dead letter."""

import datetime as dt
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from shared.concurrency import MessageTooLarge
from shared.concurrency.queues.encoding.codec import Codec, digest
from shared.concurrency.queues.encoding.unreadable import Unreadable


class Point(BaseModel):
    model_config = ConfigDict(frozen=True)
    x: int
    label: str | None = None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_any_json_value_comes_back_the_same(value: Any) -> None:
    codec: Codec[Any] = Codec(Any, 1 << 20)
    try:
        shape, body = codec.encode(value)
    except ValueError:
        return  # a lone surrogate, say: refused, not changed
    assert codec.decode(shape.name, body) == value


@pytest.mark.parametrize(
    "tp,value",
    [
        (int, 7),
        (str, "größe"),
        (bytes, b"abc"),
        (dt.datetime, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        (list[int], [1, 2]),
        (Point, Point(x=1)),
    ],
)
def test_round_trips(tp: type[Any], value: Any) -> None:
    codec = Codec(tp, 1000)
    shape, body = codec.encode(value)
    assert codec.decode(shape.name, body) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_not_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="come back"):
        Codec(float, 1000).encode(value)


def test_another_type_is_refused() -> None:
    class Other(BaseModel):
        x: int

    with pytest.raises(TypeError, match="takes Point"):
        Codec(Point, 1000).encode(Other(x=1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="int"):
        Codec(int, 1000).encode("seven")  # type: ignore[arg-type]


def test_a_large_message_is_refused_both_ways() -> None:
    with pytest.raises(MessageTooLarge, match="reference"):
        Codec(str, 10).encode("x" * 20)
    with pytest.raises(Unreadable) as caught:
        Codec(str, 10).decode(None, b'"' + b"x" * 20 + b'"')
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize(
    "name,body,reason",
    [
        ("Point", b"\xff\xfe", "undecodable"),
        ("Point", b"{", "undecodable"),
        ("Point", b"", "undecodable"),
        ("Point", b'{"x": "one"}', "invalid"),
        ("Point", b"[1]", "invalid"),
        ("Line", b'{"x": 1}', "unknown_type"),
        (None, b'{"x": 1}', "unknown_type"),
    ],
)
def test_what_cannot_be_read_says_why(name: str | None, body: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        Codec(Point, 1000).decode(name, body)
    assert caught.value.reason == reason


def test_a_digest_tells_bodies_and_classes_apart() -> None:
    assert len({digest("A", b"1"), digest("A", b"2"), digest("B", b"1"), digest(None, b"1")}) == 4


SPOILT = """
from pydantic import BaseModel
from shared.concurrency.queues.encoding.codec import Codec
class Point(BaseModel):
    x: int
codec = Codec(Point, 1000)
point = Point(x=1)
codec.encode(point)
point.x = "one"
try:
    codec.encode(point)
except ValueError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize("warning", ["default", "ignore"])
def test_a_field_that_was_spoilt_later_is_refused_whatever_is_done_with_warnings(warning: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", warning, "-c", SPOILT], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.startswith("refused: this Point cannot be written as JSON")
    assert done.stderr == ""
