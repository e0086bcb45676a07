"""Processes: where handlers run that may crash, block or have to be killed."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, Self

from consumer.executors import frames
from consumer.outcomes import Reject, Retry
from consumer.rules.errors import ProcessEnded, RaisedInProcess, UnsendableResult
from shared.concurrency.session.tracer import tracing

START_SECONDS: Final = 60.0
"""How long a process may take to start."""

_END_SECONDS: Final = 1.0


class Processes:
    """Runs functions in child processes, one message at a time in each, and keeps the processes for later calls.

    The children are started afresh, not forked, and die with this process, however it ends. There are at most as many
    as calls ran at once, and no more than `most`: calls beyond that wait for a free one, in the order in which they
    came. Use it as an async context manager.
    """

    def __init__(self, modules: Iterable[str], most: int) -> None:
        """Start with none. `modules`: what each child imports before its first message; `most`: children at once."""
        self._modules = sorted(set(modules))
        self._free = asyncio.Semaphore(most)
        self._idle: list[_Child] = []
        self._starting: set[asyncio.Task[_Child]] = set()
        self._left: list[asyncio.Task[_Child]] = []
        """Those of them whose callers were cancelled: the next caller takes one, or it becomes idle."""
        self._ending: set[asyncio.Task[None]] = set()
        self._tracing: Final = tracing()

    async def call(self, name: str, entry: bytes, time_limit: float) -> dict[str, Any]:
        """Call a function (`module:name`) with a stored message in a child; returns the child's answer.

        Waits for a free child first. `time_limit`: seconds that it may take, counted from when the process is ready.
        The process is killed after that, and when the caller is cancelled.

        :raises Retry, Reject: when the function raised it. RaisedInProcess: when it raised another exception.
            UnsendableResult: when what it returned cannot be sent.
        :raises ProcessEnded: when the process ended before the function did. TimeoutError: after `time_limit`.
        """
        answer = await self._answer({"handler": name}, [entry], time_limit)
        if (error := error_of(answer)) is not None:
            raise error
        return answer

    async def call_with_batch(self, name: str, entries: Sequence[bytes], time_limit: float) -> dict[str, Any]:
        """Call a function with the stored messages of a batch; returns the child's answer, whatever that is.

        :raises ProcessEnded, TimeoutError: as `call`.
        """
        return await self._answer({"handler": name, "batch": len(entries)}, entries, time_limit)

    async def _answer(self, request: dict[str, Any], entries: Sequence[bytes], time_limit: float) -> dict[str, Any]:
        """Send a request to a child, and wait for the answer."""
        if self._tracing is not None:
            request["trace"] = self._tracing.current()
        frame = json.dumps(request).encode()
        async with self._free:
            child = await self._begun(frame, *entries)
            try:
                async with asyncio.timeout(time_limit):
                    answer = await child.answer()
            except TimeoutError:  # ours: an exception of the handler comes as an answer
                self._end(child)
                raise TimeoutError(f"the handler took longer than {time_limit:g} s") from None
            except BaseException:  # also cancelled: its answer would be taken for the next message's
                self._end(child)
                raise
            self._idle.append(child)
        return answer

    async def _begun(self, *request: bytes) -> "_Child":
        """Return a child that has begun to handle the request."""
        while True:
            fresh = not self._idle
            child = await self._fresh() if fresh else self._idle.pop()
            try:
                await child.begin(*request)
            except ProcessEnded:
                self._end(child)
                if fresh:
                    raise
                # It ended while it was idle: not the fault of this message.
            except BaseException:  # also cancelled: it may have received half of the request
                self._end(child)
                raise
            else:
                return child

    async def _fresh(self) -> "_Child":
        # In a task of its own: a start is costly, so a cancelled caller leaves the child to the next one.
        if self._left:
            starting = self._left.pop()
        else:
            starting = asyncio.create_task(_start(self._modules), name="weir-handler-process")
            self._starting.add(starting)
        try:
            child = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._left.append(starting)
            starting.add_done_callback(self._keep)
            raise
        finally:
            if starting.done():
                self._starting.discard(starting)
        return child

    def _keep(self, started: "asyncio.Task[_Child]") -> None:
        if started not in self._left:
            return
        self._left.remove(started)
        self._starting.discard(started)
        if not started.cancelled() and started.exception() is None:
            self._idle.append(started.result())

    def _end(self, child: "_Child") -> None:
        child.kill()
        ending = asyncio.create_task(child.ended())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for starting in self._starting:
            starting.cancel()
        if self._starting:
            await asyncio.wait(self._starting)
            await asyncio.sleep(0)  # children that had started all the same are among the idle ones now
        for child in self._idle:
            self._end(child)
        if self._ending:
            await asyncio.wait(self._ending)


class _Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self, *request: bytes) -> None:
        """Send a request, and wait until its handler is called."""
        stdin = self._process.stdin
        if stdin is None:
            raise AssertionError("started with a pipe")
        with contextlib.suppress(ConnectionError):  # it has ended: `answer` raises
            stdin.write(frames.pack(*request))
            await stdin.drain()
        await self.answer()

    async def answer(self) -> dict[str, Any]:
        """Wait for the next answer of the child.

        :raises ProcessEnded: when the child has closed its pipe; it is killed if it lives on.
        """
        stdout = self._process.stdout
        if stdout is None:
            raise AssertionError("started with a pipe")
        try:
            answer: dict[str, Any] = json.loads(await frames.receive(stdout))
        except (EOFError, ConnectionError):
            raise ProcessEnded(f"the handler's process {_how(await self._code())}") from None
        return answer

    async def _code(self) -> int:
        """Wait for the exit code of a child that closed its pipe; kill it if it lives on."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self.kill()
            return await self._process.wait()

    def kill(self) -> None:
        """Kill the process, and those that it has started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until the process has ended, and close the pipe to it."""
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


async def _start(modules: list[str]) -> _Child:
    # It finds modules where we do. A session of its own: Ctrl-C in a terminal is for the service, which drains.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "consumer.executors", str(os.getpid()), *modules),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )
    child = _Child(process)
    try:
        async with asyncio.timeout(START_SECONDS):
            await child.answer()
    except BaseException as error:  # also cancelled: nobody else knows the process
        child.kill()
        await child.ended()
        if isinstance(error, TimeoutError):
            raise ProcessEnded(f"the handler's process did not start within {START_SECONDS:g} s") from None
        raise
    return child


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _how(code: int) -> str:
    return f"ended with code {code}" if code >= 0 else f"was ended by signal {-code}"


def error_of(answer: dict[str, Any]) -> BaseException | None:
    """What a child's answer says that the handler raised; None when it returned."""
    if answer["outcome"] == "returned":
        return None
    kind = UnsendableResult if answer["outcome"] == "unsendable" else RaisedInProcess
    cause = kind(answer["error"]) if answer.get("error") else None
    if answer["outcome"] == "retry":
        error: BaseException = Retry(
            answer["after"],
            answer["reason"],
            counts=answer["counts"],
            within=answer["within"],
            hold_key=answer["hold_key"],
        )
        error.__cause__ = cause
    elif answer["outcome"] == "reject":
        error = Reject(answer["reason"])
        error.__cause__ = cause
    else:
        error = kind(answer["error"])
        error.add_note(answer["traceback"])
    return error
