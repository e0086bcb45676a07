"""Arguments that are wrong, hostile or strange are refused before the network, with what is right in the message."""

import math
from typing import Any, Final

import pytest

from shared.concurrency import ConcurrencyError, IdConflict, MessageTooLarge, Queue, Session
from tests.instruments.inside import is_held
from tests.instruments.proxy import Proxy


@pytest.mark.parametrize(
    "item", [math.nan, math.inf, {"a": math.nan}, [None, math.nan], "\ud800", {1: 2}, (1, 2), b"\xff", object()]
)
async def test_what_would_not_come_back_is_refused_before_the_network(session: Session, name: str, item: Any) -> None:
    queue: Queue[Any] = Queue(session, name, Any)
    with pytest.raises((ValueError, TypeError)):
        await queue.put(item)
    assert (await queue.statistics()).put_total == 0


@pytest.mark.parametrize("item", ["1", True, 1.0, None])
async def test_a_number_is_a_number(session: Session, name: str, item: Any) -> None:
    queue = Queue(session, name, int)
    with pytest.raises((ValueError, TypeError)):
        await queue.put(item)
    assert (await queue.statistics()).put_total == 0


async def test_a_large_message_is_refused_before_the_network(through_proxy: Session, proxy: Proxy, name: str) -> None:
    queue = Queue(through_proxy, name, str, max_message_bytes=100)
    await queue.put("x" * 98)
    sent = proxy.count("put")
    for text in ("x" * 99, "é" * 50, "\x00" * 20):
        for call in (queue.put(text), queue.put_nowait(text), queue.put_many([text]), queue.submit(text)):
            with pytest.raises(MessageTooLarge, match="100"):
                await call
    assert proxy.count("put") == sent == 1
    assert (await queue.statistics()).put_total == 1


@pytest.mark.parametrize("id_", ["", "x" * 129, "é", "a b", "a\n", "\x00", 7, b"x"])
async def test_an_id_that_is_none_is_refused(session: Session, name: str, id_: Any) -> None:
    queue = Queue(session, name, int)
    with pytest.raises(ValueError, match="id"):
        await queue.put(1, id=id_)
    assert (await queue.statistics()).put_total == 0


@pytest.mark.parametrize("id_", ['"', "\\", "{}", "%s", "a:b*?[x]", "x" * 128, "null"])
async def test_an_id_may_be_anything_printable(session: Session, name: str, id_: str) -> None:
    queue = Queue(session, name, int)
    await queue.put(1, id=id_)
    await queue.put(1, id=id_)
    with pytest.raises(IdConflict):
        await queue.put(2, id=id_)
    delivery = await queue.get()
    assert delivery.id == id_
    await delivery.ack()
    assert (await queue.statistics()).put_total == 1


async def test_the_digest_of_an_id_covers_the_bytes(session: Session, name: str) -> None:
    queue: Queue[Any] = Queue(session, name, Any)
    for _ in range(2):
        await queue.put({"a": 1, "b": 2}, id="one")
    with pytest.raises(IdConflict):  # equal to Python, and other bytes
        await queue.put({"b": 2, "a": 1}, id="one")
    assert (await queue.statistics()).put_total == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"ttl": 0}, {"ttl": 0.09}, {"ttl": 3601}, {"ttl": math.nan}, {"ttl": True}, {"ttl": "5"},
        {"connect_timeout": 0}, {"connect_timeout": -1.0}, {"connect_timeout": math.nan}, {"connect_timeout": True},
        {"refusal_grace": -1}, {"refusal_grace": math.inf}, {"refusal_grace": True}, {"replicas": -1}, {"replicas": True},
    ],
    ids=str,
)  # fmt: skip
async def test_a_time_of_a_session_out_of_range_is_refused_and_never_clamped(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        async with Session.open("redis://127.0.0.1:1/0", **arguments):
            pass


BAD_NAMES: Final = ["", "{a}", "a*", "a:b", "a b", "a\n", "x" * 65, "\u0430pple", "a/b", "é", None, 7, b"x"]


@pytest.mark.parametrize("bad", BAD_NAMES)
async def test_a_name_that_is_none_is_refused_at_construction(session: Session, bad: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        Queue(session, bad, int)


@pytest.mark.parametrize(
    "arguments",
    [
        {"maxsize": -1}, {"maxsize": 10**7 + 1}, {"maxsize": True}, {"maxsize": 1.5}, {"maxsize": "5"},
        {"max_attempts": 0}, {"max_attempts": 1000}, {"max_attempts": True},
        {"max_crashes": 0}, {"max_crashes": 10}, {"max_crashes": True}, {"max_crashes": 1.5}, {"max_crashes": "5"},
        {"max_dead": 0}, {"max_dead": -1}, {"max_dead": True}, {"max_dead": 1.5}, {"max_dead": 10**7 + 1},
        {"dead_for": 0}, {"dead_for": 0.9}, {"dead_for": math.inf}, {"dead_for": True}, {"dead_for": "60"},
        {"max_message_bytes": 0}, {"max_message_bytes": -1}, {"max_message_bytes": True}, {"max_message_bytes": 2**24 + 1},
        {"known_for": 0}, {"known_for": -1.0}, {"known_for": math.nan}, {"known_for": math.inf}, {"known_for": True},
    ],
    ids=str,
)  # fmt: skip
async def test_a_number_out_of_range_is_refused_and_never_clamped(
    session: Session, name: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Queue(session, name, int, **arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"max_attempts": 0}, {"max_attempts": 1000}, {"max_crashes": 0}, {"max_crashes": 10}, {"max_dead": 0}, {"max_dead": True},
        {"dead_for": 0.5}, {"dead_for": math.nan},
    ],
    ids=str,
)  # fmt: skip
async def test_a_setting_out_of_range_is_refused_by_resize_and_nothing_changes(
    session: Session, name: str, change: dict[str, Any]
) -> None:
    queue = Queue(session, name, int, maxsize=3)
    with pytest.raises(ValueError, match=next(iter(change))):
        await queue.resize(7, **change)
    assert (await queue.statistics()).maxsize == 3


@pytest.mark.parametrize("maxsize", [-1, 10**7 + 1, True, 1.5, None])
async def test_a_bound_out_of_range_is_refused_by_resize(session: Session, name: str, maxsize: Any) -> None:
    queue = Queue(session, name, int, maxsize=3)
    with pytest.raises(ValueError, match="maxsize"):
        await queue.resize(maxsize)
    assert (await queue.statistics()).maxsize == 3


@pytest.mark.parametrize("limit", [0, -1, True, 1.5])
async def test_a_limit_out_of_range_is_refused(session: Session, name: str, limit: Any) -> None:
    with pytest.raises(ValueError, match="limit"):
        await Queue(session, name, int).dead_letters(limit)


@pytest.mark.parametrize("delay", [-1, -0.001, math.nan, math.inf, True, "1", None, 7 * 86400 + 0.001])
async def test_a_delay_that_is_none_is_refused_and_the_delivery_stays(session: Session, name: str, delay: Any) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    delivery = await queue.get()
    with pytest.raises(ValueError, match="delay"):
        await delivery.nack(delay=delay)
    assert is_held(delivery)
    await delivery.ack()


@pytest.mark.parametrize("reason", ["", "x" * 1001, None, 7])
async def test_a_reason_that_is_none_is_refused_and_the_delivery_stays(
    session: Session, name: str, reason: Any
) -> None:
    queue = Queue(session, name, int)
    await queue.put(1)
    delivery = await queue.get()
    with pytest.raises(ValueError, match="reason"):
        await delivery.dead_letter(reason)
    await delivery.ack()


async def test_any_text_is_a_reason(session: Session, name: str) -> None:
    queue = Queue(session, name, int)
    reasons = ["\x00", 'a "b" \\ \n', "é💥", "x" * 1000, "</script>"]
    for reason in reasons:
        await queue.put(1)
        await (await queue.get()).dead_letter(reason)
    assert [letter.reason for letter in await queue.dead_letters()] == reasons


@pytest.mark.parametrize("error", ["\ud800", "x" * 100_000, "\x00\n"])
async def test_an_exception_with_strange_words_nacks(session: Session, name: str, error: str) -> None:
    queue = Queue(session, name, int, max_attempts=1)
    await queue.put(1)
    with pytest.raises(RuntimeError):
        async with await queue.get():
            raise RuntimeError(error)
    [letter] = await queue.dead_letters()
    assert (letter.reason, letter.error[:14]) == ("failed", "RuntimeError: ")


@pytest.mark.parametrize(
    "arguments", [{"ttl": value} for value in (0, 0.09, 3601, -1, math.nan, math.inf, True, "5", None)], ids=str
)
async def test_a_time_to_live_out_of_range_is_refused(url: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ttl"):
        async with Session.open(url, **arguments):
            pass


@pytest.mark.parametrize("address", ["", "localhost", "http://localhost", "redis:/x", "://", None, 7])
async def test_an_address_that_is_none_is_refused(address: Any) -> None:
    with pytest.raises(ValueError, match=r"redis://|address|port"):
        async with Session.open(address, connect_timeout=0.2):
            pass


@pytest.mark.parametrize("address", ["unix://user:canary@{path}?password=canary", "redis://user:canary@localhost:1/0"])
async def test_a_password_is_in_no_error(tmp_path: Any, address: str) -> None:
    with pytest.raises(ConcurrencyError) as caught:
        async with Session.open(address.format(path=tmp_path / "nobody.sock"), connect_timeout=0.1):
            pass
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["\x00", "a\nb\r\n", "\x1b[31mred", "<script>alert(1)</script>", "e\u0301é", "\ufeff", "💥" * 20, ""]
)
async def test_strange_text_comes_back_as_it_is(session: Session, name: str, text: str) -> None:
    queue = Queue(session, name, str)
    await queue.put(text)
    async with await queue.get() as item:
        assert item == text
