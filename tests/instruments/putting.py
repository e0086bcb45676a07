"""What a process may do when it puts."""

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.instruments.comparison import PICK, PROCESSES, RAISED, Comparison
from tests.instruments.puts import Entry, Put


class Putting(Comparison):
    """Puts of every kind, and their cancellation."""

    @rule(process=PROCESSES, id_=st.none() | st.sampled_from("xyz"), variant=st.integers(min_value=0, max_value=1))
    def put(self, process: str, id_: str | None, variant: int) -> None:
        # What has an id has one of two bodies: known, or in conflict.
        item = next(self.items) if id_ is None else 1000 + ord(id_) * 10 + variant
        self.run(self._put(process, Entry(item, id_)))

    async def _put(self, process: str, entry: Entry) -> None:
        task = asyncio.create_task(self.processes[process].queue.put(entry.item, id=entry.id))
        self.puts.append((self.model.put(process, [entry]), task))
        await self.agree()

    @rule(process=PROCESSES, count=st.integers(min_value=1, max_value=6))
    def put_many(self, process: str, count: int) -> None:
        self.run(self._put_many(process, [Entry(next(self.items)) for _ in range(count)]))

    async def _put_many(self, process: str, entries: list[Entry]) -> None:
        task = asyncio.create_task(self.processes[process].queue.put_many([entry.item for entry in entries]))
        self.puts.append((self.model.put(process, entries), task))
        await self.agree()

    @rule(process=PROCESSES)
    def put_nowait(self, process: str) -> None:
        self.run(self._put_nowait(process, Entry(next(self.items))))

    async def _put_nowait(self, process: str, entry: Entry) -> None:
        verdict = self.model.put_nowait(entry)
        put = self.processes[process].queue.put_nowait(entry.item)
        if verdict == "in":
            await put
        else:
            with pytest.raises(RAISED[verdict]):
                await put
        await self.agree()

    @precondition(lambda self: self.puts)
    @rule(pick=PICK)
    def cancel_a_put(self, pick: int) -> None:
        self.run(self._cancel_a_put(*self.puts.pop(pick % len(self.puts))))

    async def _cancel_a_put(self, call: Put, task: "asyncio.Task[object]") -> None:
        self.model.withdraw(call)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        if len(call.entries) > 1:
            assert f" {len(call.verdicts)} messages" in str(caught.value)
        await self.agree()
