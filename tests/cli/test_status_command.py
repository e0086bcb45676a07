"""`pipeline status` and `top` as their user meets them: what they print, where, and how they end."""

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from rich.cells import cell_len

from cli.screen import short, span
from monitor.snapshot import Snapshot
from shared.concurrency import Lock, Queue, Session
from shared.local.embedded import EmbeddedServer
from shared.message import Message
from tests.cli.test_dead_command import message, pipeline
from tests.instruments.command_line import environment
from tests.instruments.prepared import ROOT, Started, start
from tests.instruments.services import running as service
from tests.instruments.services import wait_for
from tests.instruments.terminal import on_a_terminal
from tests.instruments.waiting import until

pytestmark = pytest.mark.usefixtures("command_line")


@pytest.fixture
def filled(url: str, name: str) -> None:
    """Two pending, one dead, in a queue with a long name."""

    async def make() -> None:
        async with Session.open(url) as session:
            for queue in (Queue(session, name, Message, maxsize=7), Queue(session, f"{name}-{'long' * 10}", Message)):
                await queue.put_many([message(1), message(2), message(3)])
                await (await queue.get()).dead_letter("unwanted")

    asyncio.run(make())


@pytest.mark.usefixtures("filled")
def test_status_shows_everything_once(url: str, name: str) -> None:
    done = pipeline("status", REDIS_URL=url)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert " (master), up " in lines[0]
    assert "queue  pending  delayed  leased  dead  wait  oldest  put/s  ack/s  state" in lines
    (ours,) = [line.split("  ") for line in lines if line.startswith(f"{name}  2/7")]
    assert ours[2:6] == ["0", "0", "1", "0"]
    assert ours[7:] == ["-", "-", "open"]
    assert f"{name}  unwanted  Errand  1" in lines


@pytest.mark.usefixtures("filled")
def test_status_in_json_is_the_snapshot(url: str, name: str) -> None:
    done = pipeline("status", "--json", REDIS_URL=url)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    queue = Snapshot.model_validate_json(done.stdout).queue(name)
    assert queue is not None
    assert (queue.counts.pending, queue.counts.dead, queue.sessions) == (2, 1, ())


def test_the_schema_needs_no_server() -> None:
    done = pipeline("status", "--schema", REDIS_URL="redis://127.0.0.1:1/0")
    assert (done.returncode, done.stderr) == (0, "")
    committed = ROOT / "docs" / "monitor" / "snapshot.schema.json"
    assert done.stdout == committed.read_text(encoding="utf-8")


def test_what_cannot_be_read_is_named_and_ends_with_1(url: str, name: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(f"{{{name}}}:settings", "not ours")
    done = pipeline("status", REDIS_URL=url)
    assert done.returncode == 1
    (problem,) = [line for line in done.stderr.splitlines() if name in line]
    assert problem.startswith(f"pipeline: {name}: WRONGTYPE")


@contextmanager
def typed(folder: Path, *arguments: str, **settings: str) -> Iterator[tuple[Started, Path]]:
    """A command that goes on, and the file of what it prints; Ctrl-C at the end."""
    out = folder / "out"
    with out.open("wb") as to_out, (folder / "err").open("wb") as to_err:
        request = {"module": "cli", "arguments": arguments, "variables": environment(**settings)}
        process = start(request, to_out.fileno(), to_err.fileno(), strict=True)
        try:
            yield process, out
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0


async def printed(out: Path, words: str) -> str:
    """What it has printed once these words are there."""
    return await until(lambda: asyncio.sleep(0, out.read_text(encoding="utf-8")), lambda text: words in text)


@pytest.mark.usefixtures("filled")
async def test_top_goes_on_with_rates_until_ctrl_c(url: str, name: str, tmp_path: Path, session: Session) -> None:
    async with Lock(session, name):
        with typed(tmp_path, "top", "--every", "0.1", REDIS_URL=url) as (_, out):
            await printed(out, f"{name}  2/7  0  0  1  0")
            await Queue(session, name, Message).put(message(4))
            text = await printed(out, f"{name}  3/7  0  0  1  0")
            assert f"{name}  lock  " in text
            # A rate that is not 0, once there are two snapshots around the put.
            rates = [line.split("  ")[7] for line in text.splitlines() if line.startswith(f"{name}  3/7")]
            assert rates[0] not in ("-", "0")


@pytest.mark.usefixtures("filled")
async def test_queue_show_goes_on_when_it_watches(url: str, name: str, tmp_path: Path, session: Session) -> None:
    with typed(tmp_path, "queue", "show", "--watch", "--json", REDIS_URL=url, PIPELINE_QUEUE=name) as (_, out):
        await printed(out, '"pending": 2')
        await Queue(session, name, Message).put(message(4))
        text = await printed(out, '"pending": 3')
    assert {json.loads(line)["queue"] for line in text.splitlines() if line.endswith("}")} == {name}


@pytest.mark.slow
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("width", [80, 40])
def test_a_terminal_gets_lines_that_fit(url: str, name: str, width: int) -> None:
    with service("consumer", REDIS_URL=url, PIPELINE_QUEUE=f"{name}-consumed") as consumer:
        wait_for(consumer, "consuming")
        variables = environment(REDIS_URL=url, COLUMNS=str(width), NO_COLOR="1")
        code, shown = on_a_terminal(["-m", "cli", "status"], variables)
        assert consumer.poll() is None
    assert code == 0
    text = re.sub("\x1b\\[(0|1)m", "", shown.decode())  # bold is no colour
    assert "\x1b" not in text
    assert max(map(cell_len, text.splitlines())) <= width
    assert f"{name[:5]}" in text
    if width == 80:
        (ours,) = [line for line in text.splitlines() if line.startswith(f"{name} ") and "2/7" in line]
        assert ours.split()[1:6] == ["2/7", "0", "0", "1", "0"]
        assert ours.endswith(" open")


@pytest.mark.usefixtures("filled")
def test_top_on_a_terminal_redraws_in_place(url: str) -> None:
    variables = environment(REDIS_URL=url, COLUMNS="80")
    code, shown = on_a_terminal(["-m", "cli", "top", "--count", "2", "--every", "0.1"], variables)
    assert code == 0
    assert b"\x1b[1A" in shown  # up again, over the lines of before
    assert shown.endswith((b"\x1b[?25h", b"\x1b[?25h\r\n"))  # the cursor is back


async def test_top_outlasts_a_server_that_is_away(server: EmbeddedServer, tmp_path: Path) -> None:
    words = ("top", "--every", "0.1", "--json")
    with typed(tmp_path, *words, REDIS_URL=server.url) as (_, out):
        err = tmp_path / "err"
        await printed(out, '"at"')
        server.kill()
        await printed(err, "the server does not answer")
        before = out.read_text(encoding="utf-8")  # a file of the test
        server.start()
        await until(lambda: asyncio.sleep(0, out.read_text(encoding="utf-8")), lambda text: len(text) > len(before))


def test_short_numbers_are_short() -> None:
    assert [short(each) for each in (0, 7, 0.25, 9999, 12_345, 999_949, 1_500_000, 2e10)] == [
        "0", "7", "0.2", "9999", "12.3k", "1000k", "1.5M", "20.0G",
    ]  # fmt: skip
    assert max(len(short(10**power * 9.99)) for power in range(12)) <= 5


def test_short_times_are_short() -> None:
    assert [span(each) for each in (None, 0.00085, 0.012, 4.24, 59, 900, 3 * 3600, 12 * 86_400)] == [
        "-", "850us", "12ms", "4.2s", "59s", "15m", "3h", "12d",
    ]  # fmt: skip
