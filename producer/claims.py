"""Claims: which producer puts which share of the source, so that several producers do not put everything twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.exceptions import RedisError

from producer.share import Share
from shared.concurrency import Lease, LeaseBusy, LeaseLost, Lock
from shared.connections import is_passing
from shared.logs import Log
from shared.pipeline import Pipeline
from shared.queue_settings import split_name

log = Log("producer")

_KEPT_SECONDS: Final = 30 * 86_400
_AGAIN: Final = 0.2


class Claim:
    """A share that this producer puts, and the lease that keeps others out."""

    def __init__(self, claims: "Claims", share: Share, lease: Lease) -> None:
        """Made by `Claims.next`."""
        self._claims: Final = claims
        self._lease = lease
        self.share: Final = share

    async def is_ours(self) -> bool:
        """Whether this producer may go on with the share. Costs nothing while the lease is held.

        A lease that was lost in an outage is waited for: the share is still ours unless another has claimed it.
        """
        try:
            self._lease.check()
        except LeaseLost:
            log.warning("the lease of the share was lost: it is claimed again", share=self.share.index)
            self._lease = await self._claims.lock(self.share.index).acquire()
            if await self._claims.claimed_by(self.share.index) not in {None, self._claims.owner}:
                return False
        return True

    async def finish(self) -> None:
        """Record that the whole share is put."""
        await self._claims.record_done(self.share.index)

    async def end(self) -> None:
        """Let others have it."""
        try:
            await self._lease.release()
        except LeaseLost:
            log.warning("the lease of the share was lost when it ended", share=self.share.index)


class Claims:
    """The shares of the source of a queue.

    One that was finished under the same PIPELINE_SOURCE_RUN, or since this producer began, is not put again.
    Who claimed a share, and when it was finished by the server's clock, is in the hash `source` of the queue. A share
    that its producer did not finish begins anew in another one.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        """Prepare; `begin` is next."""
        self._pipeline: Final = pipeline
        self._count: Final = pipeline.settings.shares
        self._left: Final = set(range(self._count))
        self._since = 0
        name, group = split_name(pipeline.queue.full_name)
        self._key: Final = f"{{{group}}}/{name}:source" if group else f"{{{name}}}:source"
        self.owner: Final = pipeline.owner

    async def begin(self) -> None:
        """Note when this producer began."""
        self._since = await self._now()

    def lock(self, index: int) -> Lock:
        """What the producer of a share holds."""
        return Lock(self._pipeline.session, f"{self._pipeline.queue.full_name}.source.{index}")

    @asynccontextmanager
    async def next(self) -> AsyncIterator[Claim | None]:
        """Claim a share inside the block, waiting while others put all that are left; None when all are put."""
        while self._left:
            index, lease = await self._free() or await self._freed()
            claim = Claim(self, Share(index, self._count), lease)
            try:
                if await self._is_done(index):
                    self._left.discard(index)
                    continue
                await self.record(f"claim:{index}", self.owner)
                yield claim
            finally:
                await claim.end()
            return
        yield None

    async def _free(self) -> tuple[int, Lease] | None:
        for index in sorted(self._left):
            try:
                return index, await self.lock(index).acquire_nowait()
            except LeaseBusy:
                continue
        return None

    async def _freed(self) -> tuple[int, Lease]:
        """Wait for the first that another producer gives up."""
        log.info("others put all shares that are left: this producer stands by", shares=sorted(self._left))
        waiting = {asyncio.create_task(self.lock(index).acquire()): index for index in self._left}
        first: asyncio.Task[Lease] | None = None
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            first = next(iter(done))
            return waiting[first], first.result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            for task in waiting:
                if task is not first and not task.cancelled() and task.exception() is None:
                    await task.result().release()

    # --- the record -------------------------------------------------------------------------------------------------

    async def _is_done(self, index: int) -> bool:
        done = await self._patiently(lambda: self._pipeline.redis.hget(self._key, f"done:{index}"))
        at, _, run = (done or b"0").decode().partition(" ")
        return int(at) >= self._since or (bool(run) and run == self._pipeline.settings.source_run)

    async def claimed_by(self, index: int) -> str | None:
        """The producer that claimed a share last."""
        owner = await self._patiently(lambda: self._pipeline.redis.hget(self._key, f"claim:{index}"))
        return None if owner is None else str(owner.decode())

    async def record_done(self, index: int) -> None:
        """Write when a share was finished, by the server's clock, and in which run."""
        await self.record(f"done:{index}", f"{await self._now()} {self._pipeline.settings.source_run or ''}")

    async def record(self, field: str, value: str) -> None:
        """Write a field."""
        await self._patiently(lambda: self._pipeline.redis.hset(self._key, field, value))
        await self._patiently(lambda: self._pipeline.redis.expire(self._key, _KEPT_SECONDS))

    async def _now(self) -> int:
        seconds, micros = await self._patiently(self._pipeline.redis.time)
        return int(seconds) * 1_000_000 + int(micros)

    @staticmethod
    async def _patiently(call: Callable[[], Awaitable[Any] | Any]) -> Any:
        """Repeat a command while the server is away, or refuses for now; each may be repeated."""
        while True:
            try:
                return await call()
            except RedisError as error:
                if not is_passing(error):
                    raise
            await asyncio.sleep(_AGAIN)
