"""The stop words: a shared dictionary of two keys that must agree, read and rewritten under a readers-writers lease.

The words are written first and their digest then, each by itself, as in a store that knows no transactions: only the
lease keeps a reader from seeing one without the other. Each write carries the lease's token, and the store refuses one
with a smaller token than it has seen. What is about to be written is noted before: should the writer die half-way,
whoever comes next finishes it.
"""

import hashlib
import json
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import redis.asyncio

from shared.concurrency import Lease, LeaseLost, ReadersWritersLease
from shared.demo.lease_waits import Waits

_COMMON: Final = (
    "a an and are as at be been but by can could did do does for from had has have he her his how i if in into is it its "
    "just may me more most my no nor not of off on once only or other our out over own same she should so some such than "
    "that the their them then there these they this those through to too under until up us very was we were what when "
    "where which while who why will with would you your"
)
# Compares and writes in one step, so that nobody comes between.
_WRITE: Final = """
if tonumber(redis.call('GET', KEYS[1]) or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
if ARGV[2] == '' then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], ARGV[2]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """One version of the stop words."""

    version: int
    words: frozenset[str]


class StopWords:
    """The dictionary of one pipeline."""

    def __init__(self, client: "redis.asyncio.Redis", lease: ReadersWritersLease, queue: str, waits: Waits) -> None:
        """Prepare. The keys stand beside the queue's own, under the same hash tag."""
        self._client = client
        self._lease = lease
        self._waits = waits
        self._token, self._words, self._digest, self._intent = (
            f"{{{queue}}}:stop-words:{word}" for word in ("token", "words", "digest", "intent")
        )
        self._known: dict[str, Dictionary] = {}

    async def begin(self) -> None:
        """See to it that there is a first version."""
        if await self._client.get(self._digest) is None:
            async with self._lease.write() as lease:
                if await self._client.get(self._digest) is None:
                    await self._finish(lease, await self._client.get(self._intent) or _written(1))

    async def read(self) -> Dictionary:
        """The words of the version that holds now: both keys are read, under `read()`."""
        while True:
            asked_at = monotonic()
            async with self._lease.read():
                await self._waits.read_waited(monotonic() - asked_at)
                # Apart on purpose: a writer between the two would be seen.
                text = await self._client.get(self._words)
                digest = await self._client.get(self._digest)
                if text is not None and digest is not None and _digest(text) == digest.decode():
                    return self._parsed(digest.decode(), text)
                unfinished = await self._client.exists(self._intent)
            if not unfinished and text is not None:
                await self._waits.torn()
            await self._repair()

    def _parsed(self, digest: str, text: bytes) -> Dictionary:
        found = self._known.get(digest)
        if found is None:
            content = json.loads(text)
            found = Dictionary(content["version"], frozenset(content["words"]))
            self._known = {digest: found}  # the last one is enough
        return found

    async def rewrite(self) -> int:
        """Write the next version, under `write()`; its number.

        :raises LeaseLost: when the lease was lost, or the store has seen a larger token; what was begun is finished by
            others.
        """
        asked_at = monotonic()
        async with self._lease.write() as lease:
            await self._waits.write_waited(monotonic() - asked_at)
            await self._finish_others(lease)
            text = await self._client.get(self._words)
            version = 1 + (0 if text is None else int(json.loads(text)["version"]))
            await self._finish(lease, _written(version))
        return version

    async def _repair(self) -> None:
        """Finish what a writer that died has begun, or begin."""
        async with self._lease.write() as lease:
            await self._finish_others(lease)
        await self.begin()

    async def _finish_others(self, lease: Lease) -> None:
        intent = await self._client.get(self._intent)
        if intent is not None:
            await self._finish(lease, intent)

    async def _finish(self, lease: Lease, text: bytes) -> None:
        for key, value in (
            (self._intent, text),
            (self._words, text),
            (self._digest, _digest(text).encode()),
            (self._intent, b""),
        ):
            await self._write(lease, key, value)

    async def _write(self, lease: Lease, key: str, value: bytes) -> None:
        lease.check()
        answer: Any = self._client.eval(_WRITE, 2, self._token, key, lease.token, value)  # type: ignore[arg-type]
        if not await answer:
            raise LeaseLost(f"the stop words were written with a larger token than {lease.token}")


def _written(version: int) -> bytes:
    """A version as stored. Each is a little different, so that one that is torn is seen to be."""
    words = [word for place, word in enumerate(_COMMON.split()) if place % 7 != version % 7]
    return json.dumps({"version": version, "words": words}).encode()


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
