"""The limit of a put alone: its own script through this project's connection, and nothing around it.

A session is registered once and never renewed. There is no lane, no bound that a put waits for, no cancellation, and no
second try when the connection is lost.
"""

import secrets
from typing import Any

from benchmarks.connection import BareConnection
from benchmarks.ours import Task
from shared.concurrency.queues.encoding.entry import pack_headers, pack_middle
from shared.concurrency.queues.membership.keys import leased_key, queue_keys
from shared.concurrency.session.calls import Call, Calls
from shared.concurrency.session.scripts import load

_TTL_MS = 86_400_000
_PUT = load("put", flow=False)
_MIDDLE = pack_middle(pack_headers({"type": Task.__name__}), has_id=False)


class Client:
    """A registered session that puts one message after the other."""

    def __init__(self, calls: Calls, owner: str) -> None:
        """Prepare; `register` must follow."""
        self._calls = calls
        self._owner = owner.encode()
        self._session = f"{owner}.1.{_TTL_MS}"
        self._keys = {**queue_keys("bench"), "leased": leased_key("bench", self._session)}
        self._number = 0

    async def register(self) -> None:
        """Register: or the script would take the long way of a session that is over."""
        words = (self._session, 1, "", "", "", "", "", self._calls.run_id, _TTL_MS, 0, 0, "", 0)
        await self._calls.once(Call(load("register", flow=False), self._keys, words))

    async def put(self, body: bytes) -> None:
        """Put one entry, and look whether it went in."""
        self._number = number = self._number + 1
        entry = b"%b%010d%b%b" % (self._owner, number, _MIDDLE, body)
        answer: Any = await self._calls.once(
            Call(_PUT, self._keys, (self._session, number, 1, 0, 0, b"", b"", b"", entry))
        )
        if answer[2] != [b"a", 1]:
            raise RuntimeError(f"put answers {answer!r:.200}")


async def open(url: str) -> Client:  # noqa: A001  # the name that the harness calls
    """Connect and register."""
    owner = secrets.token_hex(6)
    client = Client(await BareConnection(url, owner).opened(), owner)
    await client.register()
    return client


async def put(c: Client, i: int, ts: float, body: dict[str, object]) -> None:
    """Put one message."""
    task = Task(i=i, ts=ts, **body)  # type: ignore[arg-type]
    await c.put(task.__pydantic_serializer__.to_json(task))
