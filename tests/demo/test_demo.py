"""The demo as a user meets it: the command, its output, its exit codes, and what it leaves behind: nothing."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from cli.demo.dead import group_dead
from cli.demo.demo import Demo
from cli.demo.report import Report
from shared.concurrency import Queue, Session
from tests.instruments.command_line import command, environment
from tests.instruments.terminal import on_a_terminal

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-m", "cli.demo"]


def demo(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return command(arguments, environment(**settings), "cli.demo")


def result(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The one JSON object on stdout, and nothing else there."""
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.py").write_text("To be, or not_to be: 2b\n" * 1001)
    (tmp_path / "deep" / "b.py").write_bytes("Größe größe\nzwölf\xff".encode("latin-1"))
    (tmp_path / "empty.py").touch()
    (tmp_path / "other.txt").write_text("never counted")
    return tmp_path


def test_the_result_is_exact_and_the_json_complete(tree: Path) -> None:
    found = result(demo(str(tree), "--json", "--maxsize", "2", "--producers", "2"))
    top = found.pop("top")
    measured = {
        name: found.pop(name)
        for name in (
            "max_pending", "seconds", "messages_per_second", "stop_words", "dictionary_versions",
            "longest_read_wait_seconds", "longest_write_wait_seconds", "messages",
        )
    }  # fmt: skip
    assert measured["messages"] >= 7  # a job of one's own, put in producer/source.py, comes on top
    assert found == {
        "files": 3,
        "words": 7 * 1001 + 6,
        "exact": True,
        "maxsize": 2,
        "consumers": 3,
        "producers": 2,
        "kills": 0,
        "recovered": 0,
        "dead": 0,
        "dead_letters": [],
        "torn_reads": 0,
    }
    assert top[:5] == [["be", 2002], ["to", 2002], ["b", 1001], ["not", 1001], ["or", 1001]]
    assert measured["max_pending"] <= 2
    assert measured["seconds"] > 0
    # "to", "be", "or" and "not": each version lets some of them go.
    assert 1001 <= measured["stop_words"] <= 6 * 1001
    assert measured["dictionary_versions"] >= 1
    assert measured["longest_read_wait_seconds"] > 0
    assert measured["longest_write_wait_seconds"] >= 0


@pytest.mark.slow
def test_people_get_a_report(tree: Path) -> None:
    # As its user starts it, imports and all.
    done = subprocess.run(
        [*COMMAND, str(tree), "--glob", "*.py", "--consumers", "1"],
        env=environment(), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0
    for word in ("files", "messages a second", "highest pending seen", "exact: the counts equal", "torn reads"):
        assert word in done.stdout


@pytest.mark.slow
def test_the_page_shows_it_until_it_ends(tree: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, str(tree), "--watch", "--maxsize", "1"], cwd=ROOT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as done:  # fmt: skip
        assert done.stderr is not None
        said = done.stderr.readline()
        words = re.fullmatch(r"demo: watch it at http://127\.0\.0\.1:(\d+)/#demo-[0-9a-f]{8}\n", said)
        assert words, said
        port = int(words[1])
        assert b"<title>Weir</title>" in asked(port)
        assert (done.communicate(timeout=50)[1].strip(), done.returncode) == ("", 0)
    with pytest.raises(ConnectionRefusedError):
        asked(port)


def asked(port: int) -> bytes:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().read()


def test_help_names_the_command_as_it_is_called() -> None:
    assert demo("--help").stdout.startswith("Usage: ./run demo ")


@pytest.mark.slow
def test_chaos_kills_one_that_holds_something_however_short_the_work_is(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("a single message")
    found = result(demo(str(tmp_path), "--chaos", "--json"))
    assert found["kills"] >= 1
    assert found["recovered"] >= 1
    assert found["exact"] is True
    assert found["top"] == [["a", 1], ["message", 1], ["single", 1]]


@pytest.mark.slow
def test_chaos_without_any_message_kills_too(tmp_path: Path) -> None:
    (tmp_path / "empty.py").touch()
    found = result(demo(str(tmp_path), "--chaos", "--json"))
    assert (found["files"], found["messages"], found["exact"]) == (1, 0, True)
    assert found["kills"] >= 1


@pytest.mark.slow
def test_with_redis_url_it_uses_that_server_and_cleans_up(tree: Path, url: str) -> None:
    with redis.Redis.from_url(url) as client:
        before = set(client.scan_iter("*demo-*"))
        calls = client.info("stats")["total_commands_processed"]
        assert result(demo(str(tree), "--json", REDIS_URL=url))["exact"] is True
        assert client.info("stats")["total_commands_processed"] > calls + 20
        assert set(client.scan_iter("*demo-*")) == before


@pytest.mark.parametrize(
    "arguments,advice",
    [
        (["/nowhere/at/all"], "is no directory"),
        (["--glob", "*.nothing"], "no file below"),
        (["--glob", "/absolute"], "--glob"),
        (["--consumers", "0"], "--consumers"),
        (["--maxsize", "-1"], "--maxsize"),
        (["--unknown"], "--unknown"),
    ],
)
def test_a_mistake_is_told_without_a_traceback(tree: Path, arguments: list[str], advice: str) -> None:
    done = demo(*([] if arguments[0].startswith("/") else [str(tree)]), *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert advice in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_server_that_is_not_there_is_told(tree: Path) -> None:
    done = demo(str(tree), REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert done.returncode == 2
    waits, gives_up = done.stderr.splitlines()
    assert waits.startswith("demo: no server answers yet address='redis://127.0.0.1:1/0'")
    assert gives_up.startswith("demo: no server answered at redis://127.0.0.1:1/0 within 3 s")
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def report(**changes: Any) -> Report:
    counts = Counter({"a": 2})
    right: dict[str, Any] = {
        "files": 1, "messages": 1, "counts": counts, "reference": counts, "maxsize": 5, "max_pending": 5,
        "consumers": 1, "producers": 1, "kills": 0, "recovered": 0, "dead": 0, "dead_groups": [], "seconds": 1.0, "stop_words": 0,
        "dictionary_versions": 1, "torn_reads": 0, "longest_read_wait": 0.1, "longest_write_wait": 0.1,
    }  # fmt: skip
    return Report(**{**right, **changes})


def test_wrong_counts_a_broken_bound_and_a_torn_read_are_called_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert report().right
    for wrong in (report(counts=Counter({"a": 3})), report(max_pending=6), report(torn_reads=1)):
        assert not wrong.right
        wrong.show()
        assert "WRONG" in capsys.readouterr().out


async def test_dead_letters_are_told_where_the_result_is_not_exact(
    session: Session, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = Queue(session, name, int)
    for number in range(12):
        await queue.put(number, id=f"n{number}")
        await (await queue.get()).dead_letter("first" if number < 11 else "second")
    many, one = await group_dead(queue)
    assert (many.type, many.reason, many.count, len(many.ids), one.ids) == ("of no class", "first", 11, 10, ("n11",))
    wrong = report(counts=Counter({"a": 3}), dead=12, dead_groups=[many, one])
    found = json.loads(wrong.to_json())
    assert (found["dead"], [group["count"] for group in found["dead_letters"]]) == (12, [11, 1])
    wrong.show()
    said = capsys.readouterr().out
    assert "dead letters" in said
    assert "1 dead of no class, second (id n11)" in said
    report(dead=1, dead_groups=[one]).show()
    assert "n11" not in capsys.readouterr().out


def test_the_demo_kills_no_message_by_its_kills(tmp_path: Path) -> None:
    demo = Demo(path=tmp_path, glob="*", consumers=1, producers=1, maxsize=0, chaos=True)
    assert demo.settings("queue")["PIPELINE_MAX_CRASHES"] == "none"


@contextlib.contextmanager
def running(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The demo on the standard library, with its temporary files in FOLDER, so that its processes can be found."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(TMPDIR=str(folder)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def processes(folder: Path) -> list[str]:
    """The processes whose environment or command names FOLDER: the demo, its server and its services."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            about = (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
            if str(folder).encode() in about:
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def wait_until(satisfied: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not satisfied():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # a look reads all of /proc: those that are waited for need the processor more


MOMENTS: dict[str, Callable[[list[str]], bool]] = {
    "before anything": lambda _: True,
    "the server runs": lambda found: any("valkey" in line or "redis-server" in line for line in found),
    "all run": lambda found: sum("consumer" in line or "producer" in line for line in found) >= 5,
}


ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
AT_ONCE = set(zip(MOMENTS, ENDINGS, strict=True))
"""Each moment once, and each ending once; the others are slow."""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("moment,ending", [
    pytest.param(moment, ending, id=f"{moment}-{ending.name}", marks=() if (moment, ending) in AT_ONCE else pytest.mark.slow)
    for moment in MOMENTS for ending in ENDINGS
])  # fmt: skip
def test_whenever_it_ends_nothing_is_left(tmp_path: Path, moment: str, ending: signal.Signals) -> None:
    with running(tmp_path) as process:
        wait_until(lambda: MOMENTS[moment](processes(tmp_path)) or process.poll() is not None)
        process.send_signal(ending)
        process.wait(90)
    wait_until(lambda: not processes(tmp_path))


SHOWN = """
from cli.demo.progress import DemoProgress
from shared.concurrency import QueueStatistics
numbers = dict.fromkeys(QueueStatistics.__dataclass_fields__, 0)
numbers |= {"pending": 99_999, "acked_total": 654_321, "puts_waiting": 12_345, "recovered_total": 6_789}
with DemoProgress(100_000, 1_000_000) as progress:
    progress.show(100.0, QueueStatistics(**numbers), 1_234)
"""


def test_the_progress_is_whole_in_80_columns() -> None:
    code, shown = on_a_terminal(["-c", SHOWN], environment(COLUMNS="80", NO_COLOR="1"))
    assert code == 0
    line = "pending 99999/100000 · 6,543/s · 12345 puts wait · 1234 killed, 6789 recovered"
    assert len(line) < 80
    assert any(each.rstrip().endswith(line) for each in re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", shown.decode()))


def test_help_says_what_one_types_and_the_exit_codes() -> None:
    done = command(("--help",), environment(), "cli.demo")
    assert done.stdout.startswith("Usage: ./run demo ")
    assert "Exit codes: 0 exact; 1 wrong, " in " ".join(done.stdout.split())
