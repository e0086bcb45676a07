"""Where a blocking session is used: a running loop, a forked child, an interpreter that ends, a notebook."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Final

import pytest

from shared.concurrency import ConcurrencyError, WrongLoop
from shared.concurrency.blocking import BlockingSession
from tests.instruments.command_line import environment

ROOT: Final = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.timeout(60)


def run(program: str, *options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", *options],
        input=program, cwd=ROOT, env=environment() | settings, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


async def test_a_thread_whose_loop_runs_is_refused(url: str, name: str) -> None:
    session = BlockingSession(url)
    with pytest.raises(WrongLoop, match="to_thread"):
        session.open()
    await asyncio.to_thread(session.open)
    try:
        with pytest.raises(WrongLoop, match="notebook"):
            session.queue(name, int)
        queue = await asyncio.to_thread(session.queue, name, int)
        result = await asyncio.to_thread(queue.submit, 1)
        with pytest.raises(WrongLoop):
            result.result(5)
        await asyncio.to_thread(lambda: queue.get().ack(result=2))
        assert await asyncio.wrap_future(result) == 2
        assert result.result(0) == 2  # it is there: nothing waits
    finally:
        await asyncio.to_thread(session.close)


async def test_a_notebook_says_that_it_knows(url: str, name: str) -> None:
    with BlockingSession(url, blocks_loop=True) as session:
        session.queue(name, int).put(7, timeout=2)
        assert session.queue(name, int).qsize() == 1


def test_the_first_example_of_the_page_runs(url: str, name: str) -> None:
    page = (ROOT / "docs" / "synchronous.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    assert '"numbers"' in code
    code = (
        code.replace("redis://localhost:6379/0", url).replace('"numbers"', repr(name)).replace('"report"', repr(name))
    )
    done = run(code, "-")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "7\n64\n")


def test_a_shell_whose_loop_runs_takes_the_line_of_the_page(url: str, name: str) -> None:
    page = (ROOT / "docs" / "synchronous.md").read_text(encoding="utf-8")
    cell = page.partition("<!-- notebook -->\n```python\n")[2].partition("```")[0]
    assert "blocks_loop=True" in cell
    cell = cell.replace('"redis://localhost:6379/0"', repr(url)).replace('"numbers"', repr(name))
    done = run(
        cell + "import asyncio; print('loop', asyncio.get_running_loop().is_running())\nsession.close()\n",
        "-m",
        "asyncio",
    )
    said = done.stdout + done.stderr
    assert "loop True" in said, said
    assert "Traceback" not in said, said
    with BlockingSession(url) as session:
        assert session.queue(name, int).qsize() == 1


def test_a_forked_child_is_refused_at_once_and_its_parent_goes_on(url: str, name: str) -> None:
    with BlockingSession(url) as session:
        queue, lock = session.queue(name, int), session.lock(name)
        result = queue.submit(0)
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe()

        def child() -> None:
            said = []
            for use in (lambda: queue.put(1), lock.acquire, result.result, session.open):
                try:
                    use()
                except (ConcurrencyError, RuntimeError) as error:
                    said.append(f"{type(error).__name__}: {error}")
            session.close()  # nothing of the parent's ends
            with BlockingSession(url) as own:
                said.append(str(own.queue(name, int).qsize()))
            theirs.send(said)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on Python warns of a fork beside a thread
            process = fork.Process(target=child)
            process.start()
        assert ours.poll(20)
        said = ours.recv()
        process.join()
        assert (process.exitcode, said[-1]) == (0, "1")
        assert [word.split(":")[0] for word in said[:-1]] == ["WrongLoop"] * 3 + ["RuntimeError"]
        assert "open a BlockingSession in the child" in said[0]
        queue.get().ack(result="here")
        assert result.result(5) == "here"
        ours.close()
        theirs.close()


FORGOTTEN: Final = """
import atexit, sys
from shared.concurrency import ConcurrencyError
from shared.concurrency.blocking import BlockingSession

url, name = sys.argv[1:]

def late():
    try:
        queue.put(2)
    except ConcurrencyError as error:
        print("late:", error)

atexit.register(late)  # registered first: it runs when the session is closed already
session = BlockingSession(url, ttl=60).open()
queue = session.queue(name, int)
queue.put(1)
held = queue.get()
atexit.register(lambda: print("early:", queue.qsize()))
"""


def test_an_interpreter_that_ends_closes_what_is_open(url: str, name: str) -> None:
    done = run(FORGOTTEN, "-", url, name)
    assert (done.returncode, done.stderr) == (0, "")
    early, late = done.stdout.splitlines()
    assert early == "early: 0"
    assert late.startswith("late: the session is closed")
    # What it held is given back at once, not after its minute.
    with BlockingSession(url) as session, session.queue(name, int).get(timeout=5) as number:
        assert number == 1


INTERRUPTED: Final = """
import sys
from shared.concurrency.blocking import BlockingSession

url, name = sys.argv[1:]
with BlockingSession(url) as session:
    queue = session.queue(name, int, maxsize=1)
    queue.put(1)
    print("waits", flush=True)
    try:
        queue.put(2)
    except KeyboardInterrupt:
        print("interrupted", queue.qsize(), queue.statistics().puts_waiting)
"""


def test_an_interrupted_put_is_withdrawn(url: str, name: str) -> None:
    with (
        BlockingSession(url) as session,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", INTERRUPTED, url, name],
            cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts,  # noqa: PLW1509
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        queue = session.queue(name, int)
        while not queue.statistics().puts_waiting:
            time.sleep(0)
        os.kill(process.pid, signal.SIGINT)
        said = process.stdout.readline().split()
        assert said[:2] == ["interrupted", "1"]
        assert process.wait(20) == 0
        assert queue.statistics().puts_waiting == 0


def heed_interrupts() -> None:
    """A shell has what it starts in the background ignore them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
