"""python-redis-lock, which wakes the next holder through a list; synchronous, without its thread for renewals."""

import redis
import redis_lock  # type: ignore[import-not-found]


class Client:
    """A client and its lock."""

    def __init__(self, url: str) -> None:
        """Prepare."""
        self._redis = redis.Redis.from_url(url)

    async def acquire(self) -> redis_lock.Lock:
        """Wait for the lock; nothing else runs in this process."""
        lock = redis_lock.Lock(self._redis, "bench", expire=10)
        lock.acquire()
        return lock

    @staticmethod
    async def release(lock: redis_lock.Lock) -> None:
        """Release the lock."""
        lock.release()


async def open(url: str) -> Client:  # noqa: A001  # the name that the harness calls
    """Connect."""
    return Client(url)
