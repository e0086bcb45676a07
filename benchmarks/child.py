"""One process of a benchmark: puts or works through an adapter, and reports in JSON. Standard library only.

`python -m benchmarks.child ACTION ADAPTER URL COUNT SIZE [OPTIONS]`, with the Python of the adapter's environment;
OPTIONS are keywords of the adapter's `open` or `work`, as JSON.
"""

import asyncio
import contextlib
import importlib
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_IN_FLIGHT: Final = 100
_ALONE: Final = 50
_PAUSE: Final = 0.005
_QUIET: Final = 1.0


def report(**measured: Any) -> None:
    """Send the harness one line of JSON: what was measured, and the process's own CPU time and peak memory."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    measured |= {"cpu": usage.ru_utime + usage.ru_stime, "peak_kb": _peak_kb(usage)}
    os.write(1, json.dumps(measured).encode() + b"\n")


def _peak_kb(usage: resource.struct_rusage) -> int:
    # Linux gives a new process the peak of the one that started it (getrusage(2)), and VmHWM its own alone.
    with contextlib.suppress(OSError):  # no Linux
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return usage.ru_maxrss // 1024 if sys.platform == "darwin" else usage.ru_maxrss


def body(size: int) -> dict[str, object]:
    """Return the fields of a message of about SIZE bytes as JSON."""
    return {"user": "someone", "value": 12.5, "tags": ["a", "b"], "note": "x" * max(1, size - 80)}


async def many(adapter: ModuleType, url: str, count: int, size: int, **options: Any) -> None:
    """Put all with the bulk call."""
    client, carried = await adapter.open(url, **options), body(size)
    started = time.perf_counter()
    await adapter.put_many(client, [(i, 0.0, carried) for i in range(count)])
    report(seconds=time.perf_counter() - started)


async def one(adapter: ModuleType, url: str, count: int, size: int, **options: Any) -> None:
    """Put one after the other."""
    client, carried = await adapter.open(url, **options), body(size)
    started = time.perf_counter()
    for i in range(count):
        await adapter.put(client, i, 0.0, carried)
    report(seconds=time.perf_counter() - started)


async def inflight(adapter: ModuleType, url: str, count: int, size: int, **options: Any) -> None:
    """Put with 100 in flight."""
    client, carried = await adapter.open(url, **options), body(size)
    numbers = iter(range(count))

    async def putter() -> None:
        for i in numbers:
            await adapter.put(client, i, 0.0, carried)

    started = time.perf_counter()
    await asyncio.gather(*(putter() for _ in range(_IN_FLIGHT)))
    report(seconds=time.perf_counter() - started)


async def submit(adapter: ModuleType, url: str, count: int, size: int, **options: Any) -> None:
    """Wait for the results of a few messages one after the other, then of all with 100 in flight."""
    client, carried = await adapter.open(url, **options), body(size)
    waits = []
    for i in range(_ALONE):
        started = time.perf_counter()
        await adapter.submit(client, i, 0.0, carried)
        waits.append(time.perf_counter() - started)
    numbers = iter(range(count))

    async def submitter() -> None:
        for i in numbers:
            if await adapter.submit(client, i, 0.0, carried) != i:
                raise AssertionError("the result belongs to another message")

    started = time.perf_counter()
    await asyncio.gather(*(submitter() for _ in range(_IN_FLIGHT)))
    report(seconds=time.perf_counter() - started, waits=waits)


async def pace(adapter: ModuleType, url: str, count: int, size: int, **options: Any) -> None:
    """Put a message every 5 ms, with the time in it."""
    client, carried = await adapter.open(url, **options), body(size)
    for i in range(count):
        await adapter.put(client, i, time.time(), carried)
        await asyncio.sleep(_PAUSE)
    report(seconds=count * _PAUSE)


def work(adapter: ModuleType, url: str, count: int, size: int, **options: Any) -> None:  # noqa: ARG001
    """Work until killed; report when COUNT messages have been handled, and how many went before the one put last."""
    seen = ahead = 0
    first = 0.0
    waits: list[float] = []
    cpu = 0.0

    def hook(i: int, ts: float) -> None:
        nonlocal seen, ahead, first, cpu
        if not seen:
            first = time.perf_counter()
            cpu = time.process_time()
        if i == count - 1:
            ahead = seen
        seen += 1
        if ts:
            waits.append(time.time() - ts)
        if seen == count:
            taken = time.process_time() - cpu
            report(seconds=time.perf_counter() - first, work_cpu=taken, waits=waits, ahead=ahead)

    report(ready=True)
    adapter.work(url, hook, **options)


def share(adapter: ModuleType, url: str, count: int, size: int, *, until_told: bool = False, **options: Any) -> None:  # noqa: ARG001
    """Work until killed, beside others; at the end report how many were handled here, and when.

    The end: no more come; with `until_told` the harness sends a line.
    """
    seen = 0
    first = last = 0.0

    def hook(_i: int, _ts: float) -> None:
        nonlocal seen, first, last
        last = time.time()
        first = first or last
        seen += 1

    def report_at_end() -> None:
        if until_told:
            sys.stdin.readline()
            report(seen=seen, first=first, last=last)
            return
        before, begun = -1, time.time()
        # Another process may have been faster, and have left nothing.
        while seen != before or (not seen and time.time() - begun < 3 * _QUIET):
            before = seen
            time.sleep(_QUIET)
        report(seen=seen, first=first, last=last)

    threading.Thread(target=report_at_end, daemon=True).start()
    report(ready=True)
    adapter.work(url, hook, **options)


# The names stay: `--compare` has the harness of one commit run the processes of another.
_ACTIONS: Final[dict[str, Callable[..., Any]]] = {
    "many": many, "one": one, "inflight": inflight, "pace": pace, "ask": submit, "work": work, "share": share,
}  # fmt: skip


def main() -> None:
    """Do one action."""
    action, name, url, count, size, *more = sys.argv[1:]
    adapter = importlib.import_module(name)
    options = json.loads(more[0]) if more else {}
    done = _ACTIONS[action](adapter, url, int(count), int(size), **options)
    if done is not None:
        run(done)


def run(work_to_do: Any) -> None:
    """Run with uvloop where the environment has it."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        asyncio.run(work_to_do)
    else:
        uvloop.run(work_to_do)


if __name__ == "__main__":
    main()
