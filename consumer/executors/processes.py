"""Processes: where handlers run that may crash, block or have to be killed."""

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Self

from consumer.executors.children import Child, Starter
from consumer.outcomes import Reject, Retry
from consumer.rules.errors import ProcessEnded, RaisedInProcess, UnsendableResult
from shared.concurrency.session.tracer import tracing

OnReport = Callable[[bytes, bytes], object]


class Processes:
    """Runs functions in child processes, one message at a time in each, and keeps the processes for later calls.

    The children are started afresh, not forked, and die with this process, however it ends. There are at most as many
    as calls ran at once, and no more than `most`: calls beyond that wait for a free one, in the order in which they
    came. One that has had nothing to do for so long is ended. Use it as an async context manager.
    """

    def __init__(self, modules: Iterable[str], most: int, idle_seconds: float = 60.0) -> None:
        """Start with none. `modules`: what each child imports before its first message; `most`: children at once.

        `idle_seconds`: how long a child without work is kept.
        """
        self._starter = Starter(sorted(set(modules)))
        self._free = asyncio.Semaphore(most)
        self._idle_seconds = idle_seconds
        self._idle: list[Child] = []
        self._starting: set[asyncio.Task[Child]] = set()
        self._left: list[asyncio.Task[Child]] = []
        """Those of them whose callers were cancelled: the next caller takes one, or it becomes idle."""
        self._ending: set[asyncio.Task[None]] = set()
        self._tracing: Final = tracing()

    async def call(
        self, name: str, entry: bytes, time_limit: float, *, queue: str = "", on_report: OnReport | None = None
    ) -> dict[str, Any]:
        """Call a function (`module:name`) with a stored message in a child; returns the child's answer.

        Waits for a free child first. `time_limit`: seconds that it may take, counted from when the process is ready.
        The process is killed after that, and when the caller is cancelled. `queue`: what its log lines name;
        `on_report`: called with a receipt and a progress report of the function, as often as it reports.

        :raises Retry, Reject: when the function raised it. RaisedInProcess: when it raised another exception.
            UnsendableResult: when what it returned cannot be sent.
        :raises ProcessEnded: when the process ended before the function did. TimeoutError: after `time_limit`.
        """
        answer = await self._answer({"handler": name, "queue": queue}, [entry], time_limit, on_report)
        if (error := error_of(answer)) is not None:
            raise error
        return answer

    async def call_with_batch(
        self,
        name: str,
        entries: Sequence[bytes],
        time_limit: float,
        *,
        queue: str = "",
        on_report: OnReport | None = None,
    ) -> dict[str, Any]:
        """Call a function with the stored messages of a batch; returns the child's answer, whatever that is.

        :raises ProcessEnded, TimeoutError: as `call`.
        """
        request = {"handler": name, "queue": queue, "batch": len(entries)}
        return await self._answer(request, entries, time_limit, on_report)

    async def _answer(
        self, request: dict[str, Any], entries: Sequence[bytes], time_limit: float, on_report: OnReport | None
    ) -> dict[str, Any]:
        """Send a request to a child, and wait for the answer."""
        if self._tracing is not None:
            request["trace"] = self._tracing.current()
        frame = json.dumps(request).encode()
        async with self._free:
            child = await self._begun(frame, *entries)
            try:
                async with asyncio.timeout(time_limit):
                    answer = await child.outcome(on_report)
            except TimeoutError:  # ours: an exception of the handler comes as an answer
                self._end(child)
                raise TimeoutError(f"the handler took longer than {time_limit:g} s") from None
            except BaseException:  # also cancelled: its answer would be taken for the next message's
                self._end(child)
                raise
            self._rest(child)
        return answer

    def _rest(self, child: Child) -> None:
        """Keep a child for later calls; those that rested last are used first, so that the others can be ended."""
        self._idle.append(child)
        child.resting = asyncio.get_running_loop().call_later(self._idle_seconds, self._retire, child)

    def _retire(self, child: Child) -> None:
        self._idle.remove(child)
        self._end(child)

    def _wake(self) -> Child:
        child = self._idle.pop()
        child.wake()
        return child

    async def _begun(self, *request: bytes) -> Child:
        """Return a child that has begun to handle the request."""
        while True:
            fresh = not self._idle
            child = await self._fresh() if fresh else self._wake()
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

    async def _fresh(self) -> Child:
        # In a task of its own: a start is costly, so a cancelled caller leaves the child to the next one.
        if self._left:
            starting = self._left.pop()
        else:
            starting = asyncio.create_task(self._starter.start(), name="weir-handler-process")
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

    def _keep(self, started: "asyncio.Task[Child]") -> None:
        if started not in self._left:
            return
        self._left.remove(started)
        self._starting.discard(started)
        if not started.cancelled() and started.exception() is None:
            self._rest(started.result())

    def _end(self, child: Child) -> None:
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
        while self._idle:
            self._end(self._wake())
        if self._ending:
            await asyncio.wait(self._ending)
        self._starter.close()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
