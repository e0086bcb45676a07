"""Handlers in processes of their own: ended by a time limit, a lost session, a drain; a crash harms one message."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from pydantic import SecretStr

import consumer.executors.children
import consumer.executors.processes
from consumer.executors.children import Starter
from consumer.executors.dispatch import Dispatch
from consumer.executors.processes import Processes
from consumer.outcomes import Reject, Retry
from consumer.rules.backoff import Backoff
from consumer.rules.errors import ProcessEnded, RaisedInProcess, describe
from consumer.rules.handler import Handler
from consumer.rules.rules import Rules
from consumer.worker.worker import Worker
from shared.concurrency import Queue, Session
from shared.concurrency.queues.encoding.entry import LARGEST_MESSAGE, pack_headers, pack_middle
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline
from shared.service import loop_factory
from shared.settings import Settings
from tests.instruments import handlers, inside, programs, workers
from tests.instruments.cancellation import Mode, Outcome, at_every_point, cancelled_at
from tests.instruments.handlers import notes, obey, order
from tests.instruments.messages import Errand
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

OBEY = f"{obey.__module__}:{obey.__qualname__}"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    async with Processes([handlers.__name__], 4) as processes:
        yield processes


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "note"


def entry(text: str, note: Path | str = "") -> bytes:
    """A message as it is stored."""
    headers = pack_headers({"type": "Errand"})
    return b"0" * 16 + b"k" * 22 + pack_middle(headers, has_id=False) + order(text, note).model_dump_json().encode()


async def alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits for its parent does not."""
    try:
        stat = await asyncio.to_thread(Path(f"/proc/{pid}/stat").read_text)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def begun(note: Path, times: int = 1) -> list[list[int]]:
    async def look() -> list[list[int]]:
        return notes(note)

    return await until(look, lambda seen: len(seen) >= times)


async def gone(pid: int) -> None:
    async def look() -> bool:
        return await alive(pid)

    await until(look, lambda alive: not alive)


@asynccontextmanager
async def working(
    url: str, name: str, rules: Rules | None = None, **settings: float
) -> AsyncIterator[tuple[Pipeline, Worker[Message]]]:
    """A service's worker whose handler obeys in a process."""
    rules = rules or Rules(backoff=Backoff(first=0))
    wanted = Settings(redis_url=SecretStr(url), queue=name, maxsize=0, max_attempts=2, handler_timeout=60)
    async with (
        open_pipeline(wanted) as pipeline,
        Dispatch({Errand: Handler(obey, "process", rules)}, pipeline) as handling,
    ):
        concurrency, grace = int(settings.get("concurrency", 3)), settings.get("grace", 20)
        async with workers.working(
            pipeline.queue, handling.handle, grace=grace, concurrency=concurrency, rules=handling.rules
        ) as worker:
            yield pipeline, worker


async def test_a_function_is_called_in_another_process_which_is_kept(processes: Processes, note: Path) -> None:
    for _ in range(3):
        await processes.call(OBEY, entry("return", note), 30)
    pids = {pid for pid, _ in notes(note)}
    assert len(pids) == 1
    assert os.getpid() not in pids
    assert all(os.getsid(pid) == pid for pid in pids), "Ctrl-C in a terminal would reach it"


async def test_calls_at_once_have_a_process_each(processes: Processes, note: Path, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    calls = [asyncio.create_task(processes.call(OBEY, entry(f"wait {go_on}", note), 30)) for _ in range(2)]
    assert len({pid for pid, _ in await begun(note, 2)}) == 2
    go_on.touch()
    await asyncio.gather(*calls)


async def test_calls_beyond_the_bound_wait_for_a_free_process(note: Path, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    async with Processes([handlers.__name__], 1) as processes:
        first = asyncio.create_task(processes.call(OBEY, entry(f"wait {go_on}", note), 30))
        await begun(note)
        others = [asyncio.create_task(processes.call(OBEY, entry("return", note), 30)) for _ in range(5)]
        others.pop().cancel()
        go_on.touch()
        await asyncio.gather(first, *others)
    assert len(notes(note)) == 5
    assert len({pid for pid, _ in notes(note)}) == 1


async def test_a_start_that_nobody_waits_for_any_more_is_not_one_process_more(note: Path) -> None:
    async with Processes([handlers.__name__], 1) as processes:
        for _ in range(3):
            call = asyncio.create_task(processes.call(OBEY, entry("return", note), 30))
            await asyncio.sleep(0.01)  # it starts, or waits for the start
            call.cancel()
            await asyncio.wait({call})
        await asyncio.gather(*(processes.call(OBEY, entry("return", note), 30) for _ in range(3)))
        assert len({pid for pid, _ in notes(note)}) == 1
        assert len(processes._idle) == 1
        assert processes._starting == set()


async def test_a_service_has_as_many_processes_as_cores(url: str, name: str, note: Path) -> None:
    """And a message that waits for one is not timed out."""
    async with working(url, name, concurrency=20) as (pipeline, _):
        await pipeline.queue.put_many([order("return", note) for _ in range(40)])
        await pipeline.queue.join()
    assert len(notes(note)) == 40
    assert len({pid for pid, _ in notes(note)}) <= consumer.executors.processes.cores()


async def test_what_the_function_raises_comes_back(processes: Processes) -> None:
    with pytest.raises(RaisedInProcess) as raised:
        await processes.call(OBEY, entry("fail nothing there"), 30)
    assert describe(raised.value) == "LookupError: nothing there"
    assert "in fail" in raised.value.__notes__[0]
    with pytest.raises(RaisedInProcess) as raised:
        await processes.call(OBEY, entry("quit bye"), 30)
    assert describe(raised.value) == "SystemExit: bye"
    for name, said in ("Panic", "BaseException"), ("Interrupt", "KeyboardInterrupt"), ("Exit", "GeneratorExit"):
        with pytest.raises(RaisedInProcess) as raised:
            await processes.call(OBEY, entry(f"panic {name}"), 30)
        assert describe(raised.value) == f"{said}: {name}"
    with pytest.raises(Retry) as retry:
        await processes.call(OBEY, entry("retry 1.5"), 30)
    assert (retry.value.after, retry.value.reason) == (1.5, "not now")
    assert str(retry.value.__cause__) == "KeyError: 'why'"
    with pytest.raises(Retry) as retry:
        await processes.call(OBEY, entry("retry"), 30)
    assert (retry.value.after, retry.value.counts, retry.value.within) == (None, True, None)
    with pytest.raises(Retry) as retry:
        await processes.call(OBEY, entry("wait_on 1.5"), 30)
    assert (retry.value.after, retry.value.counts, retry.value.within) == (1.5, False, 60)
    with pytest.raises(Reject) as reject:
        await processes.call(OBEY, entry("reject no such user"), 30)
    assert (reject.value.reason, reject.value.__cause__) == ("no such user", None)
    with pytest.raises(RaisedInProcess, match="settles by returning"):
        await processes.call(OBEY, entry("settle"), 30)
    with pytest.raises(RaisedInProcess, match="unknown_type"):
        await processes.call(OBEY, entry("return").replace(b"Errand", b"Errant"), 30)


async def test_effects_that_a_process_collects_travel_with_the_acknowledgement(url: str, name: str) -> None:
    key = f"{{{name}}}:mine"
    async with working(url, name) as (pipeline, _), redis.asyncio.Redis.from_url(url) as client:
        await pipeline.queue.put(order(f"count {key}"))
        await pipeline.queue.join()
        found = {word: await client.dump(f"{key}:{word}") for word in ("hash", "list", "set", "number", "gone")}
        assert [word for word, dumped in found.items() if dumped is None] == ["gone"]
        async with client.pipeline() as look:
            look.hgetall(f"{key}:hash").lrange(f"{key}:list", 0, -1).smembers(f"{key}:set").get(f"{key}:number")
            assert await look.execute() == [{b"n": b"2", b"\xff": b"text"}, [b"a", b"\x00"], {b"1"}, b"-3"]
        assert 59 <= await client.ttl(f"{key}:set") <= 60


async def test_a_put_that_a_process_forwards_is_refused_and_does_not_end_it(processes: Processes, url: str) -> None:
    with pytest.raises(RaisedInProcess, match=r"^EffectRefused: a handler in a process cannot forward a put"):
        await processes.call(OBEY, entry(f"forward {url}"), 30)


async def test_of_a_batch_only_what_forwards_a_put_is_refused(processes: Processes, url: str) -> None:
    entries = [entry("return").replace(b"k" * 22, b"%022d" % number) for number in range(2)]
    entries.append(entry(f"forward {url}"))
    answer = await processes.call_with_batch(OBEY.replace("obey", "obey_all"), entries, 30)
    assert answer["outcome"] == "returned"
    *others, forwarding = answer["deliveries"]
    assert [one["outcome"] for one in others] == ["returned", "returned"]
    assert forwarding["error"].startswith("EffectRefused: a handler in a process cannot forward a put")


async def test_what_it_prints_and_reads_does_not_get_into_the_pipe(
    processes: Processes, capfd: pytest.CaptureFixture[str]
) -> None:
    await processes.call(OBEY, entry("print " + "x" * 100_000), 30)
    await processes.call(OBEY, entry("read"), 30)
    await processes.call(OBEY, entry("print the last"), 30)
    said = capfd.readouterr()
    assert "the last" in said.err
    assert "x" not in said.out


async def test_a_message_of_the_largest_size_gets_through(processes: Processes) -> None:
    big = "x" * (LARGEST_MESSAGE - 1000)
    with pytest.raises(RaisedInProcess, match=r"LookupError: x{1000}"):
        await processes.call(OBEY, entry(f"fail {big}"), 30)


@pytest.mark.parametrize("code", [0, *(pytest.param(code, marks=pytest.mark.slow) for code in (1, 7))])
async def test_a_process_that_exits_is_told_with_its_code_and_replaced(processes: Processes, code: int) -> None:
    with pytest.raises(ProcessEnded, match=f"^the handler's process ended with code {code}$"):
        await processes.call(OBEY, entry(f"exit {code}"), 30)
    await processes.call(OBEY, entry("return"), 30)


async def test_a_process_that_is_killed_is_told(processes: Processes, note: Path) -> None:
    call = asyncio.create_task(processes.call(OBEY, entry("hang", note), 30))
    ((pid, _),) = await begun(note)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ProcessEnded, match="ended by signal 9"):
        await call


async def test_a_process_that_ends_while_nobody_uses_it_harms_no_message(processes: Processes, note: Path) -> None:
    await processes.call(OBEY, entry("return", note), 30)
    ((pid, _),) = notes(note)
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    await processes.call(OBEY, entry("return", note), 30)
    assert len({pid for pid, _ in notes(note)}) == 2


async def test_a_process_that_can_not_start_is_told() -> None:
    async with Processes(["no.such.module"], 1) as processes:
        with pytest.raises(ProcessEnded, match="ended with code 1"):
            await processes.call(OBEY, entry("return"), 30)


async def test_a_process_that_does_not_start_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer.executors.children, "START_SECONDS", 0.01)
    async with Processes([], 1) as processes:
        with pytest.raises(ProcessEnded, match=r"did not start within 0\.01 s"):
            await processes.call(OBEY, entry("return"), 30)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_that_stops_services_does_not_end_a_message(
    processes: Processes, note: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    go_on = tmp_path / "go on"
    call = asyncio.create_task(processes.call(OBEY, entry(f"wait {go_on}", note), 30))
    ((pid, _),) = await begun(note)
    os.kill(pid, ending)
    go_on.touch()
    await call
    await processes.call(OBEY, entry("return", note), 30)
    assert [pid for pid, _ in notes(note)] == [pid, pid]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_that_stops_services_does_not_end_a_process_that_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: signal.Signals
) -> None:
    # A module that the process imports first sends it: as a supervisor does to all processes of a service.
    early = tmp_path / "pydantic"
    early.mkdir()
    (early / "__init__.py").write_text(
        f"import os, signal, sys\nos.kill(os.getpid(), {int(ending)})\nsys.path.remove({str(tmp_path)!r})\n"
        "del sys.modules['pydantic']\nimport pydantic\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    async with Processes([handlers.__name__], 1) as processes:
        await processes.call(OBEY, entry("return"), 30)


async def test_the_time_limit_ends_the_process_and_what_it_has_started(processes: Processes, note: Path) -> None:
    # It counts from when the process is ready: starting one takes longer than this.
    with pytest.raises(TimeoutError, match=r"^the handler took longer than 0\.2 s$"):
        await processes.call(OBEY, entry("spawn", note), 0.2)
    ((pid, _),) = notes(note)
    await gone(pid)

    async def look() -> list[str]:
        return await asyncio.to_thread(states_of_group, pid)

    await until(look, lambda states: not set(states) - {"Z"})


def states_of_group(group: int) -> list[str]:
    """One letter of Linux for each process of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group, *_ = stat.read_text().rpartition(")")[2].split()
            found += [state] * (its_group == str(group))
    return found


@pytest.mark.slow  # a process or two for each point
async def test_a_call_may_be_cancelled_wherever_it_waits(processes: Processes, note: Path) -> None:
    async def attempt(point: int, mode: Mode) -> Outcome[Any]:
        outcome = await cancelled_at(point, mode, processes.call(OBEY, entry("return", note), 30))
        await processes.call(OBEY, entry("return"), 30)
        # Nothing runs that nobody knows of: the one that was used last is idle, at most one more has been left to it.
        assert len(processes._idle) <= 2
        return outcome

    for _ in range(2):  # with an idle process, and without one
        assert {mode async for _, mode, _ in at_every_point(attempt)}
        for child in processes._idle:
            child.kill()
            await child.ended()


async def test_a_start_that_is_cancelled_is_left_to_the_next_call(processes: Processes, note: Path) -> None:
    call = asyncio.create_task(processes.call(OBEY, entry("return", note), 30))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    async def idle() -> int:
        return len(processes._idle)

    await until(idle, lambda idle: idle == 1)
    await processes.call(OBEY, entry("return", note), 30)
    assert len(notes(note)) == 1


def children(pid: int | str = "self") -> set[str]:
    """The processes that a process has started, whichever of its threads did, and that nobody has waited for."""
    found: set[str] = set()
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            found.update((thread / "children").read_text().split())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
async def test_closing_ends_a_process_that_starts() -> None:
    async with Processes([handlers.__name__], 4) as processes:
        before = children()
        call = asyncio.create_task(processes.call(OBEY, entry("return"), 30))
        await until(lambda: asyncio.sleep(0, children() - before), bool)
        call.cancel()
        await asyncio.wait({call})
        assert call.cancelled()
    assert children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
async def test_a_start_that_is_cancelled_while_its_pipe_is_opened_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = asyncio.Event()

    async def opens_never(**_: object) -> None:
        opening.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_unix_connection", opens_never)
    starter, before = Starter([handlers.__name__]), children()
    starting = asyncio.create_task(starter.start())
    await opening.wait()
    assert children() != before
    starting.cancel()
    await asyncio.wait({starting})
    assert starting.cancelled()
    assert children() == before
    starter.close()


def test_it_works_on_uvloop(note: Path) -> None:
    factory = loop_factory()
    if factory is None:
        pytest.skip("no uvloop here")

    async def call() -> None:
        async with Processes([handlers.__name__], 4) as processes:
            await processes.call(OBEY, entry("return", note), 30)
            with pytest.raises(TimeoutError):
                await processes.call(OBEY, entry("hang"), 0.1)
            with pytest.raises(ProcessEnded, match="code 3"):
                await processes.call(OBEY, entry("exit 3"), 30)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(call())
    assert len(notes(note)) == 1


async def test_a_message_that_ends_its_process_is_a_dead_letter_and_drags_no_other_along(url: str, name: str) -> None:
    async with working(url, name) as (pipeline, worker), asyncio.timeout(100):
        await pipeline.queue.put_many([order("return"), order("exit 7"), *[order("return")] * 10])
        await pipeline.queue.join()
        (letter,) = await pipeline.queue.dead_letters()
        assert (letter.reason, letter.failures) == ("crashed", 2)
        assert letter.error == letter.first_error == "the handler's process ended with code 7"
        assert worker.handled == 11
        statistics = await pipeline.queue.statistics()
        assert (statistics.acked_total, statistics.recovered_total) == (11, 0)


async def test_the_delivery_tells_all_there(url: str, name: str) -> None:
    async with working(url, name, Rules(attempts=2, backoff=Backoff(first=0))) as (pipeline, _), asyncio.timeout(100):
        await pipeline.queue.put(order("tell"), id="the-id")
        await pipeline.queue.join()
        (letter,) = await pipeline.queue.dead_letters()
        assert letter.first_error == "LookupError: the-id 1 0 None"
        assert letter.last_error == "LookupError: the-id 2 1 LookupError: the-id 1 0 None"


async def test_retry_reject_and_the_time_limit_count_as_anywhere(url: str, name: str) -> None:
    rules = Rules(attempts=2, backoff=Backoff(first=0), time_limit=0.2)
    async with working(url, name, rules) as (pipeline, _), asyncio.timeout(100):
        for word in ("retry 0", "reject unwanted", "hang"):
            await pipeline.queue.put(order(word), id=word.split()[0])
        await pipeline.queue.join()
        letters = {
            letter.id: (letter.reason, letter.failures, letter.error) for letter in await pipeline.queue.dead_letters()
        }
    assert letters == {
        "retry": ("failed", 2, "KeyError: 'why'"),
        "reject": ("unwanted", 0, ""),
        "hang": ("failed", 2, "TimeoutError: the handler took longer than 0.2 s"),
    }


async def test_a_drain_ends_the_process_of_what_does_not_finish_and_gives_it_back(
    url: str, name: str, note: Path
) -> None:
    async with working(url, name, grace=0.05) as (pipeline, _):
        await pipeline.queue.put(order("hang", note))
        ((pid, _),) = await begun(note)
    await gone(pid)
    async with Session.open(url) as session:
        statistics = await Queue(session, name, Message).statistics()
        assert (statistics.leased, statistics.delayed, statistics.nacked_total) == (0, 1, 0)


async def test_a_lost_session_ends_the_process(url: str, name: str, note: Path, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    async with working(url, name) as (pipeline, _), redis.asyncio.Redis.from_url(url) as client:
        await pipeline.queue.put(order(f"wait {go_on}", note))
        ((pid, _),) = await begun(note)
        await inside.end_session(client, pipeline.session, name)
        await gone(pid)
        go_on.touch()
        async with asyncio.timeout(100):
            await pipeline.queue.join()
        assert [attempt for _, attempt in notes(note)] == [1, 2]


async def test_a_service_that_is_killed_takes_its_processes_along_and_loses_nothing(
    url: str, name: str, note: Path, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    async with Session.open(url) as session:
        queue: Queue[Message] = Queue(session, name, Message)
        await queue.put(order(f"wait {go_on}", note))
        async with running(programs.obey_orders, url, name, 1.0) as consumer:
            ((pid, _),) = await begun(note)
            await consumer.kill()
            await gone(pid)
            async with running(programs.obey_orders, url, name, 1.0):
                await begun(note, 2)
                go_on.touch()
                async with asyncio.timeout(100):
                    await queue.join()
        statistics = await queue.statistics()
        assert (statistics.acked_total, statistics.recovered_total, statistics.dead) == (1, 1, 0)
    assert [attempt for _, attempt in notes(note)] == [1, 2]


async def test_a_service_that_is_killed_while_a_process_starts_leaves_none_behind(url: str, name: str) -> None:
    async with running(programs.obey_orders, url, name, 1.0) as consumer:
        await consumer.said("ready")
        async with Session.open(url) as session:
            queue: Queue[Message] = Queue(session, name, Message)
            await queue.put(order("hang"))

            async def look() -> set[str]:
                return await asyncio.to_thread(children, consumer.pid)

            (pid,) = await until(look, lambda pids: len(pids) == 1)
            await consumer.kill()
            await gone(int(pid))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fate",
    [
        pytest.param(Fate.DROP_BEFORE, marks=pytest.mark.slow),
        Fate.DROP_AFTER,
        pytest.param(Fate.DROP_WITHIN, marks=pytest.mark.slow),
    ],
)
async def test_a_break_at_each_command_has_no_other_effect(
    url: str, name: str, note: Path, tmp_path: Path, fate: Fate
) -> None:
    async with Proxy(url, tmp_path) as proxy:
        nth, count = 0, 1
        while nth <= count:
            await asyncio.to_thread(note.unlink, missing_ok=True)
            async with working(proxy.url, f"{name}-{nth}", Rules(attempts=1)) as _, Session.open(url) as past:
                other: Queue[Message] = Queue(past, f"{name}-{nth}", Message)
                await other.statistics()
                before = len(proxy.of_session())
                if nth:
                    proxy.drop_nth(nth, fate)
                await other.put(order("exit 7", note))
                async with asyncio.timeout(100):
                    await other.join()
                count = max(count, len(proxy.of_session()) - before) if nth == 0 else count
                proxy.judge = lambda _: Fate.PASS
                statistics = await other.statistics()
                assert (statistics.nacked_total, statistics.dead, statistics.leased) == (1, 1, 0)
            nth += 1
    assert count >= 2
