"""A holder is paused for longer than its lease, comes back and writes: both stores refuse it by its token.

No lock can prevent that (Kleppmann, How to do distributed locking, 2016): the pause may fall between the last check of
the clock and the write. So the store has to compare.
"""

import os
import secrets
import signal
import tempfile
from pathlib import Path

from examples.fencing.redis_store import RedisStore
from examples.fencing.sqlite_store import SqliteStore
from examples.processes import in_processes
from examples.server import server
from shared.concurrency import Event, LeaseLost, Lock, Queue, Session

TTL = 1.0


async def paused_holder(url: str, name: str, path: str) -> list[str]:
    """Take the lock, stop for a while, and write as if nothing had happened."""
    lines = []
    async with Session.open(url, ttl=TTL) as session:
        # By hand: the body of an `async with` would be cancelled once the loop runs again.
        lease = await Lock(session, name).acquire()
        await Queue(session, name, int).put(os.getpid())
        await Event(session, f"{name}-waits").wait()
        os.kill(os.getpid(), signal.SIGSTOP)
        for store in (RedisStore(url, name), SqliteStore(path)):
            written = store.write(lease.token, "old")
            lines.append(f"{type(store).__name__}: the old holder's write was {'taken' if written else 'refused'}")
            store.close()
        try:
            lease.check()
        except LeaseLost:
            lines.append("check() raised LeaseLost, too")
    return lines


async def next_holder(url: str, name: str, path: str) -> list[str]:
    """Wait for the lock, which is free once the other's time to live has passed; write, and resume the other one."""
    async with Session.open(url, ttl=TTL) as session:
        async with await Queue(session, name, int).get() as pid:
            await Event(session, f"{name}-waits").set()
        async with Lock(session, name) as lease:
            stores = (RedisStore(url, name), SqliteStore(path))
            for store in stores:
                store.write(lease.token, "new")
            os.kill(pid, signal.SIGCONT)
        await Event(session, f"{name}-waits").clear()
    for store in stores:
        store.close()
    return []


def main() -> None:
    """Two processes."""
    name = f"guard-{secrets.token_hex(4)}"
    with server() as url, tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "guarded.sqlite")
        lines, _ = in_processes((paused_holder, (url, name, path)), (next_holder, (url, name, path)))
        for store in (RedisStore(url, name), SqliteStore(path)):
            lines.append(f"{type(store).__name__} holds what is {store.read()}")
            store.close()
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
