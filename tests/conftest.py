"""What every test may ask for: a real server, a queue name of its own, and proof that it left nothing behind."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.concurrency.session import scripts
from shared.local.embedded import EmbeddedServer
from tests.instruments.application import make
from tests.instruments.durable import DurableServer
from tests.instruments.figures import (  # noqa: F401  # hooks
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)
from tests.instruments.insurance import end_looks
from tests.instruments.levels import force_where_asked
from tests.instruments.measuring import (  # noqa: F401  # hooks
    pytest_report_teststatus,
    pytest_runtest_protocol,
    pytest_runtest_setup,
)
from tests.instruments.nodes import Nodes
from tests.instruments.order import check_orders, queues_with_order
from tests.instruments.prepared import CAN_FORK, prepared_pids, ready
from tests.instruments.proxy import Proxy
from tests.instruments.topology import (
    is_cluster_asked_for,
    is_group_asked_for,
    is_sentinel_asked_for,
    share_slots,
    use_topology_where_asked,
)
from tests.instruments.watched import WatchedServers


def pytest_configure() -> None:
    """Have children stop at SIGINT, though pytest was started in the background, where a shell has SIGINT ignored."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    force_where_asked()
    use_topology_where_asked()
    if sys.dont_write_bytecode:  # wherever it may not stand beside its source; each process compiles all tests else
        sys.pycache_prefix, sys.dont_write_bytecode = f"{sys.prefix}/bytecode", False


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare the import of files without a test that is asked for: of all files those marked `timing` are few."""
    asked_for = {word for word in config.option.markexpr.split(" and ") if word in {"alone", "slow", "timing"}}
    if not asked_for or not fnmatch(collection_path.name, "test_*.py"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    return None if all(f"mark.{word}" in text for word in asked_for) else True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have reports travel between processes: what was logged may hold text that is no UTF-8."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that the tests of this process share: REDIS_URL when set, else an embedded one."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    if is_cluster_asked_for():
        with Nodes(tmp_path_factory.mktemp("nodes")) as nodes:
            yield nodes.url
        return
    if is_sentinel_asked_for():
        with WatchedServers(tmp_path_factory.mktemp("watched"), down_after=60_000) as watched:
            yield watched.url
        return
    with EmbeddedServer(tmp_path_factory.mktemp("server")) as server:
        # Whichever test comes first: one that counts calls must not count that the server asked for a script.
        with redis.Redis.from_url(server.url) as client:
            for script in (script for word in scripts.names() for script in scripts.of_both_sets(word)):
                client.script_load(script.source)
        yield server.url


@pytest.fixture
def name(url: str) -> Iterator[str]:
    """A queue name that no other test has; every key that has it in its own name is deleted afterwards.

    Whatever the test did, the order of each KEY adds up then.
    """
    name = f"t-{secrets.token_hex(6)}"
    yield name
    if is_cluster_asked_for():
        return
    with redis.Redis.from_url(url) as client:
        if left := list(client.scan_iter(match=f"*{name}*", count=1000)):
            try:
                check_orders(client, queues_with_order(left))
            finally:
                client.delete(*left)


@pytest.fixture
async def client(url: str) -> AsyncIterator[Redis]:
    """A client past our own code, to look at the server with."""
    async with Redis.from_url(url, protocol=3) as client:
        yield client


@pytest.fixture
async def session(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    """A session at the server that the tests share. The marker session_ttl gives its time to live, in seconds."""
    async with Session.open(url, ttl=_ttl(request)) as session:
        yield session


@pytest.fixture
async def other(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    """A second session, as of another process."""
    async with Session.open(url, ttl=_ttl(request)) as other:
        yield other


def _ttl(request: pytest.FixtureRequest) -> float:
    marker = request.node.get_closest_marker("session_ttl")
    return float(marker.args[0]) if marker else 10.0


@pytest.fixture
def only_notified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the looks of insurance: what arrives was notified of, however long it takes on a busy machine."""
    end_looks(monkeypatch)


@pytest.fixture
def one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Cluster, have the names of this test share a slot, as those of a group do."""
    if is_cluster_asked_for() and not is_group_asked_for():
        share_slots(monkeypatch.setattr)


@pytest.fixture
async def proxy(url: str, tmp_path: Path) -> AsyncIterator[Proxy]:
    """A proxy in front of the server, which breaks connections as it is told."""
    async with Proxy(url, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def through_proxy(proxy: Proxy, request: pytest.FixtureRequest) -> AsyncIterator[Session]:
    """A session whose connections the proxy breaks."""
    async with Session.open(proxy.url, ttl=_ttl(request)) as session:
        yield session


@pytest.fixture
async def queue(session: Session, name: str) -> Queue[int]:
    """A queue of numbers without a bound, in the session."""
    return Queue(session, name, int)


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own that keeps what it was told, also when it is killed."""
    with DurableServer(tmp_path / "durable") as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own, to kill and restart; it keeps nothing on disk."""
    with EmbeddedServer(tmp_path / "server") as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process, a thread of ours, an asyncio task or another log behind."""
    before, log = _processes() | _threads(), _log()
    if request.node.get_closest_marker("asyncio"):
        request.getfixturevalue("no_task_left_behind")
    yield
    left = (_processes() | _threads()) - before
    assert not left, f"left behind: {sorted(left)}"
    # What a test silences the next one looks for.
    changed = {name: (state, seen) for name, seen in _log().items() if (state := log.get(name, seen)) != seen}
    assert not changed, f"the log is another: {changed}"


def _log() -> dict[str, tuple[object, ...]]:
    """What our loggers let through, by their names; the level of all under `""`."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "weir"]
    loggers = [logging.getLogger(name) for name in names]
    state = {logger.name: (logger.level, logger.propagate, logger.disabled) for logger in loggers}
    return {"": (logging.root.manager.disable, logging.root.level), **state}


@pytest.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(repr(context)))
    before = asyncio.all_tasks()
    yield
    # What was cancelled last gets one turn of the loop to end.
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks left behind: {left}"
    assert not unheard, f"exceptions that nobody heard of: {unheard}"


def _processes() -> set[str]:
    """Our child processes, ended ones that nobody waited for included; none where the system does not list them."""
    pids: set[str] = set()
    for thread in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):  # a thread that ends leaves its children to the others
            pids.update((thread / "children").read_text().split())
    return {f"process {pid} {_command(pid)}" for pid in pids - prepared_pids()}


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "(gone)"


def _threads() -> set[str]:
    return {f"thread {thread.name}" for thread in threading.enumerate() if thread.name.startswith("weir")}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The application of the tests, as in a fresh clone: without a `.run` that a server left."""
    return make(tmp_path / "project")


@pytest.fixture(scope="session")
def command_line() -> None:
    """Have the process that forks ready before any test looks at what it leaves behind."""
    if CAN_FORK:
        ready()
