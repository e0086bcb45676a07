"""Versions of message classes: what may be declared, what is upgraded, what is ignored and what is left to others."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import upgrades
from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import pack_headers, pack_middle
from shared.concurrency.queues.encoding.unreadable import TooNew, UnknownType, Unreadable
from shared.message import Message
from shared.upgrades import UpgradeMissing, check_upgrades


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """The classes of a test are unknown after it."""
    all_known: list[dict[Any, Any]] = [Message._classes, Message._former, Message._versions]
    before = [dict(known) for known in all_known]
    yield
    for known, kept in zip(all_known, before, strict=True):
        for name in set(known) - set(kept):
            del known[name]


def codec() -> Codec[Message]:
    return Codec(Message, 10_000)


def entry(name: str, body: str, **headers: Any) -> bytes:
    """As it is stored, by whatever code."""
    packed = pack_headers({"type": name} | headers)
    return b"%016d%b%010d%b%b" % (1, b"testing-----", 1, pack_middle(packed, has_id=False), body.encode())


# --- declaring -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version,kind", [(0, ValueError), (-1, ValueError), ("2", TypeError), (1.0, TypeError), (True, TypeError)]
)
def test_a_version_is_a_whole_number_from_1(version: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"Charge: version= is a whole number from 1"):

        class Charge(Message, version=version):
            pass

    assert "Charge" not in Message.registered()


@pytest.mark.parametrize(
    "formerly,kind",
    [("Bill", TypeError), (["Bill"], TypeError), ((1,), TypeError), (("",), TypeError), (("Charge",), ValueError),
     (("Bill", "Bill"), ValueError)],
)  # fmt: skip
def test_former_names_are_a_tuple_of_other_names(formerly: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="Charge: formerly="):

        class Charge(Message, formerly=formerly):
            pass


def test_a_former_name_belongs_to_one_class() -> None:
    class Charge(Message, formerly=("Bill",)):
        pass

    with pytest.raises(TypeError, match="two message classes are called Bill, or were"):

        class Bill(Message):
            pass

    with pytest.raises(TypeError, match="two message classes are called Bill, or were"):

        class Invoice(Message, formerly=("Bill",)):
            pass

    with pytest.raises(TypeError, match="two message classes are called Charge, or were"):

        class Payment(Message, formerly=("Charge",)):
            pass

    assert Charge.formerly_registered()["Bill"] is Charge


def test_neither_version_nor_former_names_are_inherited() -> None:
    class Charge(Message, version=3, formerly=("Bill",)):
        pass

    class Refund(Charge):
        pass

    assert (Charge.stored_versions().number, Refund.stored_versions().number) == (3, 1)
    assert Message.formerly_registered()["Bill"] is Charge


def test_what_cannot_be_an_upgrade_is_refused_where_it_is_written() -> None:
    class First(Message):
        pass

    class Charge(Message, version=3):
        pass

    def plain(body: dict[str, Any]) -> dict[str, Any]:
        return body

    async def waits(body: dict[str, Any]) -> dict[str, Any]:
        return body

    wrong: list[tuple[Any, Any, Any, type[Exception], str]] = [
        (First, 1, plain, ValueError, "the class has version 1: write version=2"),
        (Charge, 0, plain, ValueError, "from_version= is from 1 to 2"),
        (Charge, 3, plain, ValueError, "from_version= is from 1 to 2"),
        (Charge, "1", plain, TypeError, "from_version= is a whole number"),
        (Charge, True, plain, TypeError, "from_version= is a whole number"),
        (Message, 1, plain, TypeError, "the first argument is a message class"),
        (int, 1, plain, TypeError, "the first argument is a message class"),
        ("Charge", 1, plain, TypeError, "the first argument is a message class"),
        (Charge, 1, waits, TypeError, "a plain function"),
        (Charge, 1, None, TypeError, "a plain function"),
    ]
    for tp, number, function, kind, text in wrong:
        with pytest.raises(kind, match=text):
            upgrades(tp, from_version=number)(function)
    assert upgrades(Charge, from_version=1)(plain) is plain
    with pytest.raises(ValueError, match="plain does that already: remove one of them"):
        upgrades(Charge, from_version=1)(plain)


def test_a_gap_is_named_with_what_to_write() -> None:
    class Charge(Message, version=4):
        pass

    upgrades(Charge, from_version=2)(lambda body: body)
    with pytest.raises(
        UpgradeMissing, match=r"write @upgrades\(Charge, from_version=1\), @upgrades\(Charge, from_version=3\) beside"
    ) as caught:
        check_upgrades()
    assert isinstance(caught.value, TypeError)
    upgrades(Charge, from_version=1)(lambda body: body)
    upgrades(Charge, from_version=3)(lambda body: body)
    check_upgrades()


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_version_travels_beside_the_class_and_1_is_left_out() -> None:
    class First(Message):
        pass

    class Charge(Message, version=3):
        pass

    assert codec().encode(First())[0].headers == {"type": "First"}
    shape, _ = codec().encode(Charge())
    assert shape.headers == {"type": "Charge", "v": 3}
    assert shape.form.matches(entry("Charge", "{}", v=3))
    for other in ({}, {"v": 1}, {"v": 2}, {"v": 4}):
        assert not shape.form.matches(entry("Charge", "{}", **other))


def renamed(body: dict[str, Any]) -> dict[str, Any]:
    return {"cents": body["amount"] * 100}


def priced(body: dict[str, Any]) -> dict[str, Any]:
    body["currency"] = "EUR"
    return body


def test_an_older_message_is_upgraded_step_by_step_by_every_name_that_the_class_had() -> None:
    class Charge(Message, version=3, formerly=("Bill", "Due")):
        cents: int
        currency: str

    upgrades(Charge, from_version=1)(renamed)
    upgrades(Charge, from_version=2)(priced)
    now = Charge(cents=700, currency="EUR")
    reader = codec()
    for name in ("Charge", "Bill", "Due"):
        assert reader.open(entry(name, '{"amount": 7}')) == now
        assert reader.open(entry(name, '{"amount": 7}', v=1)) == now
        assert reader.open(entry(name, '{"cents": 700}', v=2)) == now
        assert reader.open(entry(name, '{"cents":700,"currency":"EUR"}', v=3)) == now
    shape, body = reader.encode(now)
    assert (shape.headers, json.loads(body)) == ({"type": "Charge", "v": 3}, {"cents": 700, "currency": "EUR"})


def gone(body: dict[str, Any]) -> dict[str, Any]:
    return {"cents": body["price"]}


def nothing(body: dict[str, Any]) -> dict[str, Any]:
    body["cents"] = 1
    return None  # type: ignore[return-value]


def no_number(_: dict[str, Any]) -> dict[str, Any]:
    return {"cents": float("nan")}


def no_json(_: dict[str, Any]) -> dict[str, Any]:
    return {"cents": {1}}


def exits(_: dict[str, Any]) -> dict[str, Any]:
    raise SystemExit(3)


def wrong_type(_: dict[str, Any]) -> dict[str, Any]:
    return {"cents": "700"}


@pytest.mark.parametrize(
    "upgrade,report",
    [
        (gone, "the upgrade of Charge from version 1 failed: KeyError: 'price'"),
        (nothing, "nothing upgrades from version 1 and returned NoneType: return a dict"),
        (no_number, "ValueError"),
        (no_json, "TypeError"),
        (exits, "SystemExit"),
    ],
)
def test_what_an_upgrade_raises_is_invalid_with_its_traceback(upgrade: Callable[..., Any], report: str) -> None:
    class Charge(Message, version=2):
        cents: int

    upgrades(Charge, from_version=1)(upgrade)
    with pytest.raises(Unreadable) as caught:
        codec().open(entry("Charge", '{"amount": 7}'))
    assert caught.value.reason == "invalid"
    assert report in caught.value.report
    assert f"in {upgrade.__name__}\n" in caught.value.trace or upgrade not in {gone, exits}
    assert "Traceback (most recent call last)" in caught.value.trace


def test_what_an_upgrade_returns_is_read_strictly() -> None:
    class Charge(Message, version=2):
        cents: int

    upgrades(Charge, from_version=1)(wrong_type)
    with pytest.raises(Unreadable, match="invalid: cents: Input should be a valid integer"):
        codec().open(entry("Charge", "{}"))


@pytest.mark.parametrize("body,reason", [("{", "undecodable"), ("\udc80", "undecodable"), ("[1]", "invalid")])
def test_an_older_body_that_is_no_object_reaches_no_upgrade(body: str, reason: str) -> None:
    class Charge(Message, version=2):
        cents: int

    def never(_: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("it was called")

    upgrades(Charge, from_version=1)(never)
    with pytest.raises(Unreadable) as caught:
        codec().decode("Charge", body.encode("utf-8", "surrogateescape"), 1)
    assert caught.value.reason == reason
    assert "it was called" not in caught.value.report


def test_what_is_newer_or_unknown_is_no_dead_letter_yet() -> None:
    class Charge(Message, version=2, formerly=("Bill",)):
        cents: int

    upgrades(Charge, from_version=1)(lambda body: body)
    for name in ("Charge", "Bill"):
        with pytest.raises(TooNew) as newer:
            codec().open(entry(name, '{"cents": 1}', v=3))
        assert (newer.value.reason, newer.value.type_name, newer.value.version, newer.value.ours) == (
            "too_new", name, 3, 2,
        )  # fmt: skip
    with pytest.raises(UnknownType) as unknown:
        codec().open(entry("Payment", '{"cents": 1}', v=3))
    assert (unknown.value.reason, unknown.value.type_name, unknown.value.version) == ("unknown_type", "Payment", 3)


# --- fields that are not known here ----------------------------------------------------------------------------------


class Card(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: str


class Account(Card):
    bank: str


def test_unknown_fields_are_ignored_where_it_is_read_and_refused_where_it_is_made() -> None:
    class Charge(Message):
        cents: int
        card: Card
        others: tuple[Card, ...] = ()

    body = '{"cents":1,"tip":2,"card":{"number":"4","until":"12/30"},"others":[{"number":"5","until":"1"}]}'
    item = codec().open(entry("Charge", body))
    assert item == Charge(cents=1, card=Card(number="4"), others=(Card(number="5"),))
    for fields in ({"tip": 2}, {"card": {"number": "4", "until": "12/30"}}):
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            Charge.model_validate({"cents": 1, "card": {"number": "4"}} | fields)


@pytest.mark.parametrize("body", ['{"cents":"1","tip":2}', '{"tip":2}'])
def test_beside_an_unknown_field_nothing_else_is_forgiven(body: str) -> None:
    class Charge(Message):
        cents: int

    with pytest.raises(Unreadable) as caught:
        codec().open(entry("Charge", body))
    assert (caught.value.reason, caught.value.report.partition(":")[0]) == ("invalid", "cents")


def test_a_union_is_read_by_all_fields_that_its_classes_have() -> None:
    class Charge(Message):
        source: Card | Account
        kind: Literal["one"] = "one"

    item = Charge(source=Account(number="4", bank="b"))
    reader = codec()
    shape, body = reader.encode(item)
    back = reader.decode(shape.name, body)
    assert back == item
    assert type(back.source) is Account
    newer = reader.decode(shape.name, body.replace(b'"bank"', b'"since":1,"bank"'))
    assert newer == item
