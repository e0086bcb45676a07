"""`--check` sees that a service works, and that it does not: gone, hung, or not renewed."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.concurrency import Queue, Session
from shared.concurrency.session.session import process_of
from shared.health.answers import answering
from shared.health.check import PATIENCE, check
from shared.health.place import folder, socket_path
from shared.health.vitals import Vitals
from shared.local.embedded import EmbeddedServer
from tests.instruments.command_line import command, environment
from tests.instruments.services import Service, consuming, running, wait_for
from tests.instruments.waiting import until as waited

HANGS = """
@handles(Errand)
async def hang(delivery, pipeline):
    print("hanging", flush=True, file=__import__("sys").stderr)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for the sockets."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return folder()


def asked(module: str, place: Path) -> tuple[int, str]:
    """What `--check` prints, and its exit code. It needs no settings: there are wrong ones."""
    done = command(("--check",), environment(TMPDIR=str(place.parent), REDIS_URL="nonsense"), module)
    assert done.stdout == ""
    return done.returncode, done.stderr


def until(module: str, place: Path, satisfied: Callable[[int, str], bool]) -> tuple[int, str]:
    deadline = time.monotonic() + 90
    while not satisfied(*(answer := asked(module, place))):
        assert time.monotonic() < deadline, answer
    return answer


def ended(service: Service) -> None:
    service.terminate()
    service.communicate(timeout=90)


@pytest.mark.parametrize("module", ["producer", "consumer", "producer.clock"])
def test_a_service_is_well_from_its_registration_to_its_end(url: str, name: str, place: Path, module: str) -> None:
    service = module.rpartition(".")[2]
    assert asked(module, place) == (1, f"{service}: no such process has begun its work here\n")
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_MAXSIZE": "5", "PIPELINE_GRACE": "0.2"}
    with running(module, TMPDIR=str(place.parent), **settings) as process:
        assert until(module, place, lambda code, _: code == 0) == (0, "")
        assert [path.name for path in place.iterdir()] == [f"{service}-{process.pid}.sock"]
        ended(process)
    assert asked(module, place)[0] == 1
    assert list(place.iterdir()) == []


def test_what_a_killed_process_leaves_is_no_process(url: str, name: str, place: Path) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "TMPDIR": str(place.parent)}
    with running("consumer", **settings) as consumer, running("consumer", **settings) as killed:
        wait_for(consumer, "consuming")
        wait_for(killed, "consuming")
        killed.kill()
        killed.wait(90)
        assert len(list(place.iterdir())) == 2
        until("consumer", place, lambda code, _: code == 0)
        assert len(list(place.iterdir())) == 1


@pytest.mark.slow
def test_a_consumer_whose_loop_hangs_is_not_well(copy: Path, url: str, name: str, place: Path) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name}
    with running("producer", **settings) as producer:
        wait_for(producer, "all messages are put")
        producer.wait(90)
    with consuming(copy, HANGS, url, name, TMPDIR=str(place.parent)) as consumer:
        wait_for(consumer, "hanging")
        code, said = asked("consumer", place)
        assert (code, said) == (
            1, f"consumer: process {consumer.pid}: its event loop has not turned for {PATIENCE:g} s\n",
        )  # fmt: skip


@pytest.mark.slow
def test_a_consumer_that_cannot_renew_is_not_well_until_it_can(server: EmbeddedServer, place: Path) -> None:
    settings = {"REDIS_URL": server.url, "PIPELINE_SESSION_TTL": "1", "TMPDIR": str(place.parent)}
    with running("consumer", **settings) as consumer:
        until("consumer", place, lambda code, _: code == 0)
        server.kill()
        # First its session was not renewed in time.
        why = f"process {consumer.pid}: it is not registered, and has no connection to the server: "
        _, said = until("consumer", place, lambda code, said: code == 1 and why in said)
        assert said.count("\n") == 1
        server.start()
        until("consumer", place, lambda code, _: code == 0)


async def test_a_loop_that_does_not_turn_answers_nothing(session: Session, queue: Queue[int]) -> None:
    vitals = Vitals(session, [queue], asyncio.Event(), registers=True)
    async with answering("consumer", vitals.unwell):
        assert await asyncio.to_thread(check, "consumer", 20) == (
            f"process {os.getpid()}: it is not registered at the queue yet"
        )
        await queue.put(1)
        assert await asyncio.to_thread(check, "consumer", 20) == ""
        # Here the question itself keeps the loop from turning.
        assert check("consumer", 0.1) == f"process {os.getpid()}: its event loop has not turned for 0.1 s"
        assert await asyncio.to_thread(check, "consumer", 20) == ""
    assert check("consumer") == "no such process has begun its work here"


@pytest.mark.slow
@pytest.mark.session_ttl(1.0)
async def test_a_heartbeat_that_stands_still_is_a_reason_to_end(session: Session, queue: Queue[int]) -> None:
    vitals = Vitals(session, [queue], asyncio.Event(), registers=True)
    await asyncio.to_thread(process_of(session)._heartbeat.stop)
    assert vitals.dead() == ""

    async def dead() -> str:
        return vitals.dead()

    # Three times the time to live: until then the session may have been renewed.
    said = await waited(dead, bool, 40)
    assert "its heartbeat stands still" in said
    assert vitals.unready() == said


@pytest.fixture
def of_anybody(place: Path) -> Path:
    """The folder, where everybody may write."""
    place.mkdir()
    place.chmod(0o777)
    return place


async def test_nobody_answers_from_a_folder_of_others(of_anybody: Path) -> None:
    async with answering("consumer", lambda: ""):
        assert not os.listdir(of_anybody)  # noqa: PTH208  # pathlib waits, as ruff has it
        assert check("consumer") == "no such process has begun its work here"


def test_a_socket_has_a_short_enough_path_wherever_temporary_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/" + "long/" * 30)
    assert len(os.fsencode(socket_path(folder(), "producer", 4194304))) < 60


@pytest.mark.slow
def test_a_stopped_process_is_not_well(url: str, name: str, place: Path) -> None:
    with running("consumer", REDIS_URL=url, PIPELINE_QUEUE=name, TMPDIR=str(place.parent)) as consumer:
        until("consumer", place, lambda code, _: code == 0)
        consumer.send_signal(signal.SIGSTOP)
        assert asked("consumer", place)[0] == 1
        consumer.send_signal(signal.SIGCONT)
        until("consumer", place, lambda code, _: code == 0)


def test_check_stands_alone_and_reads_no_settings() -> None:
    done = command(("--check", "--check"), environment(REDIS_URL="nonsense"), "consumer")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("error: --check stands alone\n")
