"""A server as services give it to their customers: commands are missing, or forbidden."""

from collections.abc import Sequence
from pathlib import Path

from redis.asyncio import Redis

from shared.local.embedded import EmbeddedServer


def without(directory: Path, *commands: str, options: Sequence[str] = ()) -> EmbeddedServer:
    """A server that does not know these commands."""
    words = [word for command in commands for word in ("--rename-command", command, "")]
    return EmbeddedServer(directory, options=[*words, *options])


def as_user(url: str, name: str, password: str = "secret") -> str:  # noqa: S107  # of a server of the test's own
    """The address for a user of the server; `url` is that of a unix socket."""
    return url.replace("unix://", f"unix://{name}:{password}@")


async def limited(client: Redis, url: str, *rules: str) -> str:
    """A user that may do everything but what these rules take away; the address for it."""
    await client.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", *rules)  # type: ignore[no-untyped-call]
    return as_user(url, "limited")
