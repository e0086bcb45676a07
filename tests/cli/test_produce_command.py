"""`pipeline produce` and `peek`: what goes in, what is shown of it, and what is taken of it: nothing."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from shared.concurrency import Queue, Session
from shared.message import Message
from tests.cli.test_dead_command import message, pipeline
from tests.instruments.command_line import environment
from tests.instruments.messages import Errand
from tests.instruments.prepared import start
from tests.instruments.terminal import on_a_terminal
from tests.instruments.waiting import until

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.usefixtures("command_line")

LINES = [json.dumps({"text": f"number {number}"}) for number in range(1200)]


@pytest.fixture
def run(url: str, name: str) -> Run:
    """The command line at the server of the test, whose queue is there; the class of the tests is known to it."""

    async def make() -> None:
        async with Session.open(url) as session:
            await Queue(session, name, Message, maxsize=5000).statistics()

    asyncio.run(make())

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        done = pipeline(*arguments, REDIS_URL=url)
        assert "Traceback" not in done.stderr
        return done

    return run


def written(folder: Path, lines: list[str]) -> str:
    path = folder / "lines.json"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_each_line_of_a_file_is_a_message(run: Run, name: str, tmp_path: Path) -> None:
    file = written(tmp_path, [*LINES, "", "  "])
    done = run("produce", name, file, "--type", "Errand")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"1200 messages went into the queue {name}\n", "")
    shown = [json.loads(line) for line in run("peek", name, "--count", "1500", "--json").stdout.splitlines()]
    assert [each["body"]["text"] for each in shown] == [f"number {number}" for number in range(1200)]
    assert {each["type"] for each in shown} == {"Errand"}
    done = run("produce", name, file, "--type", "Errand", "--json")
    assert json.loads(done.stdout) == {"queue": name, "put": 1200}


@pytest.mark.parametrize(
    "bad,says", [("{", "Invalid JSON"), ('{"file": "x"}', "text: Field required"), ("7", "Errand")]
)
def test_a_bad_line_is_named_and_those_before_it_are_in(
    run: Run, name: str, tmp_path: Path, bad: str, says: str
) -> None:
    done = run("produce", name, written(tmp_path, [*LINES[:2], "", bad, LINES[2]]), "--type", "Errand")
    assert (done.returncode, done.stdout) == (2, "")
    (problem,) = done.stderr.splitlines()
    assert problem.startswith("pipeline: line 4 is no Errand: ")
    assert says in problem
    assert problem.endswith(f"; 2 messages before it went into the queue {name}")
    assert len(run("peek", name).stdout.splitlines()) == 3


def test_one_of_a_name_waits_and_what_comes_later_replaces_it(run: Run, name: str, tmp_path: Path) -> None:
    file = written(tmp_path, [json.dumps({"text": text}) for text in ("a", "b", "a", "a")])
    done = run(
        "produce", name, file, "--type", "Errand", "--unique", "text", "--replace", "--calm", "60", "--longest", "90"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"2 messages went into the queue {name}\n", "")
    done = run("produce", name, file, "--type", "Errand", "--unique", "text", "--json")
    assert json.loads(done.stdout) == {"queue": name, "put": 0}
    done = run("queue", "cancel", "a", "--unique", "--timeout", "0", "--queue", name)
    assert done.stdout.startswith("asked: the message a is marked")
    assert run("queue", "cancel", "a", "--unique", "--timeout", "0", "--queue", name).returncode == 1
    for wrong in (
        ("--replace",),
        ("--every", "3"),
        ("--unique", "none"),
        ("--unique", "text", "--every", "3", "--replace"),
        ("--unique", "text", "--calm", "3", "--longest", "2"),
    ):
        assert run("produce", name, file, "--type", "Errand", *wrong).returncode == 2
    nameless = written(tmp_path, [json.dumps({"text": ""})])
    done = run("produce", name, nameless, "--type", "Errand", "--unique", "text")
    assert (done.returncode, "the field text of a message names none" in done.stderr) == (2, True)


def test_a_mistake_is_2_and_puts_nothing(run: Run, name: str, tmp_path: Path) -> None:
    file = written(tmp_path, LINES[:1])
    for arguments, says in (
        (("produce", "nowhere", file, "--type", "Errand"), "there is no queue nowhere"),
        (("produce", name, f"{file}.not", "--type", "Errand"), "cannot be read: No such file"),
        (("produce", name, file, "--type", "Nothing"), "there is no message class Nothing"),
        (("produce", name, file), "say which"),
        (("peek", "nowhere"), "there is no queue nowhere"),
        (("peek", name, "--count", "0"), "--count"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert says in " ".join(done.stderr.split()), done.stderr
    assert run("peek", name).stdout == ""


async def test_it_puts_what_comes_waits_while_full_and_ends_at_ctrl_c(
    url: str, name: str, tmp_path: Path, session: Session
) -> None:
    queue = Queue(session, name, Message, maxsize=3)
    await queue.statistics()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        words = ("produce", name, str(pipe), "--type", "Errand")
        request = {"module": "cli", "arguments": words, "variables": environment(REDIS_URL=url)}
        process = start(request, out.fileno(), err.fileno(), strict=True)
        writer = os.open(pipe, os.O_WRONLY)
        try:
            os.write(writer, f"{LINES[0]}\n".encode())
            await until(queue.statistics, lambda seen: seen.pending == 1)  # at once, though more may come
            os.write(writer, "".join(f"{line}\n" for line in LINES[1:4]).encode())
            await until(queue.statistics, lambda seen: (seen.pending, seen.puts_waiting) == (3, 1))
            # What is read while a put waits is put behind it: nobody knows how many lines are read at once.
            os.write(writer, "".join(f"{line}\n" for line in LINES[4:6]).encode())
            for _ in range(3):
                async with await queue.get():
                    pass
            await until(queue.statistics, lambda seen: (seen.pending, seen.puts_waiting) == (3, 0))
            process.send_signal(signal.SIGINT)
            assert await process.ended() == 130
        finally:
            os.close(writer)
            process.kill()
            process.wait()


def test_peek_takes_nothing(run: Run, url: str, name: str) -> None:
    async def put() -> None:
        async with Session.open(url) as session:
            await Queue(session, name, Message).put(message(1, "\x1b[2J hidden"), id="mine")

    asyncio.run(put())
    with redis.Redis.from_url(url) as client:
        client.rpush(f"{{{name}}}:pending", "garbage")
        before = {key: client.dump(key) for key in client.scan_iter(f"{{{name}}}:pending")}
        done = run("peek", name)
        lines = done.stdout.splitlines()
        assert lines[0] == "id  type  put (UTC)  body"
        assert lines[1].startswith("mine  Errand  20")
        assert "\x1b" not in done.stdout
        assert lines[2] == "-  unreadable  -  garbage"
        whole, spoilt = (json.loads(line) for line in run("peek", name, "--json").stdout.splitlines())
        assert (whole["id"], whole["body"]["text"]) == ("mine", "\x1b[2J hidden")
        assert spoilt["unreadable"] == "garbage"
        assert len(run("peek", name, "--count", "1").stdout.splitlines()) == 2
        assert before == {key: client.dump(key) for key in client.scan_iter(f"{{{name}}}:pending")}


@pytest.mark.slow
async def test_what_cannot_be_undone_asks_back_at_a_terminal(url: str, name: str, session: Session) -> None:
    queue = Queue(session, name, Errand)
    await queue.put(message(1))
    await (await queue.get()).dead_letter("unwanted")
    variables = environment(REDIS_URL=url, PIPELINE_QUEUE=name)
    for words in (["dead", "discard", "--all"], ["queue", "shutdown"]):
        code, shown = await asyncio.to_thread(on_a_terminal, ["-m", "cli", *words], variables, b"n\n")
        assert (code, b"nothing was changed" in shown) == (1, True), shown
    seen = await queue.statistics()
    assert (seen.dead, seen.is_shut_down) == (1, False)
    code, shown = await asyncio.to_thread(on_a_terminal, ["-m", "cli", "dead", "discard", "--all"], variables, b"y\n")
    assert (code, b"1 dead letter deleted" in shown) == (0, True), shown
    code, shown = await asyncio.to_thread(on_a_terminal, ["-m", "cli", "queue", "shutdown", "--yes"], variables, b"n\n")
    assert (code, b"is shut down" in shown) == (0, True), shown
    assert (await queue.statistics()).is_shut_down
