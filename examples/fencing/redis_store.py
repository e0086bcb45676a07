"""A write to Redis that refuses an old token: one script compares and writes."""

from typing import Any

import redis

# The token is kept beside the value, for ever: a store that forgets it would accept an old holder again.
_WRITE = """
if tonumber(redis.call('HGET', KEYS[1], 'token') or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'value', ARGV[2])
return 1
"""


class RedisStore:
    """One value."""

    def __init__(self, url: str, name: str) -> None:
        """Prepare."""
        self._client = redis.Redis.from_url(url)
        self._key = f"{{{name}}}:guarded"

    def write(self, token: int, value: str) -> bool:
        """Write, unless a larger token has been seen; returns whether it was written."""
        answer: Any = self._client.eval(_WRITE, 1, self._key, token, value)  # type: ignore[arg-type]
        return bool(answer)

    def read(self) -> str:
        """Return the value."""
        found: Any = self._client.hget(self._key, "value")
        return str(found.decode())

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
