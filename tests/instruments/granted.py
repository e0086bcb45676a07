"""Users of a server with the rights of a role, and what the server has refused them."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from cli.roles import ROLES
from tests.instruments.limited import as_user


async def granted(
    client: Redis, url: str, role: str, *queues: str, keys: Sequence[str] = (), allow: Sequence[str] = ()
) -> str:
    """A user with the rights of a role, as `pipeline acl` prints them; the address for it, with nothing refused yet."""
    rules = ROLES[role].rules(queues, keys, allow)
    await client.execute_command("ACL", "SETUSER", role, ">secret", *rules)  # type: ignore[no-untyped-call]
    await client.execute_command("ACL", "LOG", "RESET")  # type: ignore[no-untyped-call]
    return as_user(url, role)


async def refused(client: Redis) -> list[str]:
    """What the server has refused since: the reason and the object. What redis-py says of itself is left out."""
    entries: list[Any] = await client.execute_command("ACL", "LOG")  # type: ignore[no-untyped-call]
    found = [dict(zip(entry[::2], entry[1::2], strict=True)) if isinstance(entry, list) else entry for entry in entries]
    said = [f"{entry[b'reason'].decode()}: {entry[b'object'].decode()}" for entry in found]
    return [each for each in said if each != "command: client|setinfo"]
