"""`pipeline dead` as its user meets it: what it prints, where, and how it ends."""

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.concurrency import Queue, Session
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.message import Message
from tests.instruments.command_line import command, environment
from tests.instruments.messages import Errand
from tests.instruments.terminal import on_a_terminal

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")

pytestmark = pytest.mark.usefixtures("command_line")


def pipeline(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return command(arguments, environment(**settings))


@pytest.fixture
def dead(url: str, name: str) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`pipeline dead` at the queue of the test; it never says anything that steers a terminal."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        done = pipeline("dead", *arguments, REDIS_URL=url, PIPELINE_QUEUE=name)
        assert "Traceback" not in done.stderr
        assert not CONTROL.search(done.stdout + done.stderr)
        return done

    return run


def objects(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def message(part: int, text: str = "some words") -> Errand:
    return Errand(file="f", part=part, text=text)


@pytest.fixture
def letters(url: str, name: str) -> None:
    """Three: `a` failed, `b` was made one with a text that steers a terminal, and one is no message."""

    async def make() -> None:
        async with Session.open(url) as session:
            queue = Queue(session, name, Message, maxsize=2, max_attempts=1)
            await queue.put(message(1), id="a")
            delivery = await queue.get()
            await handout_of(delivery).settled("nack", 0, "KeyError: \x1b[2J\u202ehidden")
            await queue.put(message(2, "\x1b]0;title\x07"), id="b")
            await (await queue.get()).dead_letter("un\twanted\x9b31m")

    asyncio.run(make())
    with redis.Redis.from_url(url) as client:
        client.hset(
            f"{{{name}}}:dead", "garbage", b'{"reason":"undecodable","error":"not an entry","died_ms":1}\n\xff\x00'
        )
        client.zadd(f"{{{name}}}:dead:index", {"garbage": 1})


@pytest.mark.usefixtures("letters")
def test_list_tells_the_oldest_first_and_makes_foreign_text_harmless(
    dead: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = dead("list")
    assert (done.returncode, done.stderr) == (0, "")
    headings, first, second, third = (line.split("  ") for line in done.stdout.splitlines())
    assert headings == ["id", "type", "reason", "attempts", "put (UTC)", "died (UTC)", "error"]
    assert [first[0], first[2], first[6]] == ["garbage", "undecodable", "not an entry"]
    assert [second[:4], second[6]] == [["a", "Errand", "failed", "1"], "KeyError: \\x1b[2J\\u202ehidden"]
    assert third[:3] == ["b", "Errand", "un\\twanted\\x9b31m"]
    assert len(dead("list", "--limit", "2").stdout.splitlines()) == 1 + 2
    assert dead("list", "--type", "Errand", "--reason", "failed").stdout.splitlines()[1:] == ["  ".join(second)]
    assert dead("list", "--id", "nobody").stdout == ""


@pytest.mark.usefixtures("letters")
def test_list_as_json_is_one_object_a_line(dead: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    _, a, b = objects(dead("list", "--json"))
    assert a["id"] == "a"
    assert a["error"] == "KeyError: \x1b[2J\u202ehidden"
    assert (a["type"], a["reason"], a["attempts"], a["failures"]) == ("Errand", "failed", 1, 1)
    assert a["put_at"] <= a["died_at"] <= b["died_at"]
    assert objects(dead("list", "--json", "--reason", b["reason"])) == [b]


@pytest.mark.usefixtures("letters")
def test_list_on_a_terminal_is_a_table_without_foreign_control_characters(url: str, name: str) -> None:
    code, said = on_a_terminal(
        ["-m", "cli", "dead", "list"], environment(REDIS_URL=url, PIPELINE_QUEUE=name, COLUMNS="200", NO_COLOR="1")
    )
    assert code == 0
    assert b"died (UTC)" in said
    assert b"\\x1b[2J" in said
    assert not re.search(rb"\x1b\[(?:2J|31m)|\x1b\]|\x9b31m", said)


@pytest.mark.slow
def test_on_a_narrow_terminal_no_id_is_broken(url: str, name: str) -> None:
    id_ = "invoice-2026-11-26-customer-0123456789-line-42"

    async def make() -> None:
        async with Session.open(url) as session:
            queue = Queue(session, name, Message)
            await queue.put(message(1), id=id_)
            await (await queue.get()).dead_letter("a reason of several words")

    asyncio.run(make())
    for columns in ("40", "80"):
        code, said = on_a_terminal(
            ["-m", "cli", "dead", "list"],
            environment(REDIS_URL=url, PIPELINE_QUEUE=name, COLUMNS=columns, NO_COLOR="1"),
        )
        assert (code, id_ in said.decode()) == (0, True), said.decode()


@pytest.mark.usefixtures("letters")
def test_show_tells_all_of_a_letter(dead: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    done = dead("show", "b")
    assert done.returncode == 0
    for said in (
        "id: b",
        "type: Errand",
        "reason: un\\twanted\\x9b31m",
        "attempts: 1",
        '    "text": "\\u001b]0;title',
    ):
        assert said in done.stdout
    [found] = objects(dead("show", "b", "--json"))
    assert found["body"]["part"] == 2
    assert objects(dead("show", found["key"], "--json")) == [found]
    assert "body in base64:\n  /wA=\n" in dead("show", "garbage").stdout
    done = dead("show", "nobody\x1b[2J")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pipeline: there is no dead letter nobody\\x1b[2J\n"


@pytest.mark.usefixtures("letters")
def test_replay_says_what_went_and_what_stayed_and_why(
    url: str, name: str, dead: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    done = dead("replay", "--id", "a", "--id", "nobody")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "1 dead letter went back into the queue, 0 stayed"
    assert "nobody" in done.stderr
    done = dead("replay", "--id", "garbage")
    assert done.returncode == 1
    assert "1 stayed" in done.stdout
    assert "not messages that can be delivered" in done.stdout
    with redis.Redis.from_url(url) as client:
        assert client.hget(f"{{{name}}}:settings", "maxsize") == b"2"
        client.hset(f"{{{name}}}:settings", "maxsize", 1)
        done = dead("replay", "--all")
        assert done.returncode == 1
        assert "2 stayed" in done.stdout
        assert "no room" in done.stdout
        client.hset(f"{{{name}}}:settings", mapping={"maxsize": 2, "shutdown": "drain"})
        done = dead("replay", "--type", "Errand", "--json")
        assert done.returncode == 1
        assert objects(done) == [
            {"replayed": 0, "stayed": 1, "no_room": 0, "shut_down": 1, "unreadable": 0, "unknown_ids": []}
        ]
        client.hdel(f"{{{name}}}:settings", "shutdown")
    assert dead("replay", "--type", "Errand").returncode == 0
    assert dead("replay", "--reason", "failed").returncode == 0


@pytest.mark.usefixtures("letters")
def test_discard_deletes_what_was_chosen(dead: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    assert dead("discard", "--reason", "failed").stdout == "1 dead letter deleted\n"
    assert objects(dead("discard", "--id", "a", "--json")) == [{"discarded": 0, "unknown_ids": ["a"]}]
    assert dead("discard", "--id", "a").returncode == 1
    assert dead("discard", "--all").stdout == "2 dead letters deleted\n"
    assert dead("list").stdout == ""


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize("command", ["replay", "discard"])
@pytest.mark.parametrize(
    "choice", [[], ["--all", "--id", "a"], ["--type", "T", "--reason", "r"], ["--id", ""], ["--typ", "T"]]
)
def test_without_exactly_one_choice_nothing_is_done(
    dead: Callable[..., "subprocess.CompletedProcess[str]"], command: str, choice: list[str]
) -> None:
    done = dead(command, *choice)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(dead("list").stdout.splitlines()) == 1 + 3


def test_a_queue_that_is_not_there_is_not_made(
    url: str, name: str, dead: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    for done, advice in (
        (dead("list"), f"there is no queue {name} at this server"),
        (dead("replay", "--all", "--queue", f"{name}-x"), f"there is no queue {name}-x at this server"),
        (dead("list", "--queue", "a b"), "--queue: a name is 1 to 64 of the characters"),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"pipeline: {advice}")
    with redis.Redis.from_url(url) as client:
        assert list(client.scan_iter(f"*{name}*")) == []


@pytest.mark.slow
def test_no_server_is_one_line_and_2(tmp_path: Path) -> None:
    done = pipeline("dead", "list", REDIS_URL="http://host")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pipeline: REDIS_URL: the address begins with")
    done = pipeline("dead", "list", REDIS_URL=f"unix://:secret@{tmp_path}/nothing.sock")
    assert (done.returncode, done.stdout) == (2, "")
    waits, gives_up = done.stderr.splitlines()
    assert waits.startswith("pipeline: no server answers yet address='unix://")
    assert gives_up.startswith("pipeline: no server answered at unix://")
    assert "No such file" in waits
    assert "secret" not in done.stderr
