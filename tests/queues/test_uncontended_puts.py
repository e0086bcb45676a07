"""The short way of a put that nobody contends with does what the whole script does, in every state of a queue."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shared.concurrency
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.session.scripts import Script, cut, load

PART = Path(shared.concurrency.__file__).parent / "lua" / "parts" / "entering" / "uncontended_put.lua"
OWNER = "abcdefghijkl"
SESSION = f"{OWNER}.1.9000000000000"
FAR = 9_000_000_000_000
TIMES = re.compile(rb"1\d{12}(?:\d{3})?(?=abcdefghijkl|\b)")
"""Those of now; a clock that went back has others."""
PLAIN: Any = ("1", "0", "0", "", "", "")


def entries(*numbers: int) -> list[bytes]:
    return [b"%s%010d.000%d" % (OWNER.encode(), number, number) for number in numbers]


def call(number: int, *numbers: int, words: Any = PLAIN) -> list[Any]:
    return [SESSION, number, *words, *entries(*numbers)]


Prepare = Callable[[Any, dict[str, bytes]], Any]
CASES: dict[str, tuple[list[Prepare], list[list[Any]]]] = {
    "a new queue": ([], [call(1, 1), call(2, 2, 3)]),
    "the same call again": ([], [call(1, 1), call(1, 1)]),
    "an older call": ([], [call(2, 1), call(1, 2)]),
    "room for some": ([lambda r, k: r.hset(k["settings"], "maxsize", 2)], [call(1, 1), call(2, 2), call(3, 3)]),
    "room for none of two": ([lambda r, k: r.hset(k["settings"], "maxsize", 1)], [call(1, 1, 2)]),
    "what is delayed, returned or suspect takes room": (
        [
            lambda r, k: r.hset(k["settings"], "maxsize", 4),
            lambda r, k: r.zadd(k["delayed"], {"x": 1}),
            lambda r, k: r.rpush(k["returned"], "x"),
            lambda r, k: r.rpush(k["suspects"], "x"),
        ],
        [call(1, 1), call(2, 2)],
    ),
    "no wait": (
        [lambda r, k: r.hset(k["settings"], "maxsize", 1)],
        [call(n, n, words=("0", "0", "0", "", "", "")) for n in (1, 2)],
    ),
    "shut down": ([lambda r, k: r.hset(k["settings"], "shutdown", 1)], [call(1, 1)]),
    "paused": ([lambda r, k: r.hset(k["settings"], "paused", 1)], [call(1, 1)]),
    "somebody waits": ([lambda r, k: r.zadd(k["idle"], {"mnopqrstuvwx.1.9000": 1})], [call(1, 1)]),
    "another put waits": (
        [
            lambda r, k: r.rpush(k["putters"], entries(9)[0][:22]),
            lambda r, k: r.hset(k["bodies"], entries(9)[0][:22], SESSION.encode() + b" " + entries(9)[0]),
        ],
        [call(1, 10)],
    ),
    "the session is over": ([lambda r, k: r.zadd(k["sessions"], {SESSION: 1})], [call(1, 1)]),
    "the session is unknown": ([lambda r, k: r.delete(k["sessions"])], [call(1, 1)]),
    "puts have waited before": ([lambda r, k: r.hset(k["lanes"], f"{OWNER}:line", "1 7 somekey")], [call(1, 8)]),
    "the clock went back": ([lambda r, k: r.hset(k["totals"], mapping={"stamp": FAR * 1000, "put": 5})], [call(1, 1)]),
    "a newer queue": ([lambda r, k: r.hset(k["settings"], "flow", 1)], [call(1, 1)]),
    "known ids": ([], [call(1, 1, words=("1", "1", "0", "", "", ""))]),
    "again": ([], [call(1, 1, words=("1", "0", "1", "", "", ""))]),
    "only a withdrawal": ([], [[SESSION, 1, "1", "0", "0", "", "", entries(1)[0][:22]]]),
    "more than a thousand": ([], [call(1, *range(1, 1501))]),
}


def whole_of(script: Script) -> bytes:
    part = cut(PART.read_text(), flow=False).encode()
    assert script.source.count(part) == 1
    return script.source.replace(part, b"")


async def outcome(client: Any, name: str, script: Script, source: bytes, case: str) -> Any:
    """What a source answers and leaves, without the times."""
    keys = queue_keys(name)
    prepare, calls = CASES[case]
    await client.zadd(keys["sessions"], {SESSION: FAR})
    for step in prepare:
        await step(client, keys)
    ordered = [keys[word] for word in script.keys]
    answers = [await client.eval(source, len(ordered), *ordered, *words) for words in calls]
    for answer in answers:
        if answer[0] == b"ok":
            del answer[1]  # when
    left: dict[str, Any] = {}
    for word, key in keys.items():
        kind = await client.type(key)
        if kind == b"list":
            left[word] = [TIMES.sub(b"#", entry) for entry in await client.lrange(key, 0, -1)]
        elif kind == b"hash":
            left[word] = {field: TIMES.sub(b"#", value) for field, value in (await client.hgetall(key)).items()}
        elif kind == b"zset":
            left[word] = await client.zrange(key, 0, -1)
    return answers, left


@pytest.mark.parametrize("case", CASES)
async def test_the_short_way_and_the_whole_script_do_the_same(client: Any, name: str, case: str) -> None:
    script = load("put")
    short = await outcome(client, name, script, script.source, case)
    whole = await outcome(client, f"{name}-2", script, whole_of(script), case)
    assert short == whole
    if case == "a new queue":
        assert short[0][0] == [b"ok", [b"a", 1], 0, b"", 0, 1]
        assert len(short[1]["pending"]) == 3


async def test_the_flow_set_has_no_short_way(client: Any, name: str) -> None:
    script = load("put", flow=True)
    keys = queue_keys(name)
    await client.zadd(keys["sessions"], {SESSION: FAR})
    ordered = [keys[word] for word in script.keys]
    await client.eval(script.source, len(ordered), *ordered, *call(1, 1))
    assert await client.hget(keys["settings"], "flow") == b"1"  # which the short way does not write
