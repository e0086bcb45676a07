"""Examination: what a server says of itself when a connection is made, and what of it cannot be checked."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from redis.exceptions import ResponseError

from shared.concurrency.errors import ServerRefused
from shared.concurrency.session.calls import Calls
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.log import Log
from shared.concurrency.session.server_errors import fields, is_withheld, text_of

log = Log("session")

_NEVER_EVICTS: Final = "noeviction"


class Examined(NamedTuple):
    """What matters of a server."""

    run_id: str
    """Empty where it does not tell."""
    is_on_cluster: bool
    is_replica: bool
    """Whether it says that it follows another one."""
    round_trip: float
    """How many seconds the first question took until its answer was here."""


class Examination:
    """Asks a server what it is. Services that forbid INFO or CONFIG are used all the same, with one warning."""

    def __init__(self, calls: Calls, client_name: str) -> None:
        """Prepare. `client_name`: as which the connection is listed at the server."""
        self._calls = calls
        self._client_name = client_name
        self._is_warned = False

    async def examine(self) -> Examined:
        """Look whether the server can be used as it is; on a new connection.

        :raises ServerRefused: when it is too old, would evict messages, or is a replica that takes writes.
        """
        began = boottime()
        # In one round trip: a network that is slow enough would not let us through many.
        _, server = await asyncio.gather(
            self._asked("CLIENT", "SETNAME", self._client_name), self._info("server", "memory", "replication")
        )
        round_trip = boottime() - began
        unchecked = list[str]()
        # HELLO is never forbidden, and says what is needed most.
        server = server or await self._hello()
        check_version(server)
        check_role(server)
        policy = server.get("maxmemory_policy") or await self._configured("maxmemory-policy")
        if policy is None:
            unchecked.append("maxmemory-policy, which has to be noeviction, or messages are lost")
        else:
            check_policy(policy)
        if not server.get("run_id"):
            unchecked.append(
                "the run_id: a restart cannot be noticed, so each connection counts as one, for which a lease rests"
            )
        self._warn(unchecked)
        # Redis says redis_mode, Valkey server_mode.
        return Examined(
            server.get("run_id", ""),
            "cluster" in (server.get("redis_mode"), server.get("server_mode")),
            server.get("role") in ("slave", "replica"),
            round_trip,
        )

    async def _info(self, *sections: str) -> dict[str, str]:
        """Sections of INFO; empty where the server does not tell."""
        answer = await self._asked("INFO", *sections)
        return {} if answer is None else fields(answer)

    async def _hello(self) -> dict[str, str]:
        """The same words as of INFO, as far as HELLO has them."""
        hello = await self._asked("HELLO")
        told = {text_of(word): text_of(value) for word, value in hello.items()} if isinstance(hello, dict) else {}
        return {"redis_version": told.get("version", ""), "server_mode": told.get("mode", "")}

    async def _configured(self, setting: str) -> str | None:
        answer = await self._asked("CONFIG", "GET", setting)
        if not isinstance(answer, dict):
            return None
        return next((text_of(value) for word, value in answer.items() if text_of(word) == setting), None)

    async def _asked(self, *command: str) -> Any:
        """The answer to a command; None where the server does not know it, or forbids it."""
        try:
            return await self._calls.command(*command)
        except ResponseError as error:
            if not is_withheld(error):
                raise
        return None

    def _warn(self, unchecked: list[str]) -> None:
        if unchecked and not self._is_warned:
            self._is_warned = True
            log.warning(
                "the server does not tell everything: not all is checked",
                not_checked=unchecked, advice="allow INFO (ACL SETUSER <user> +info), or see docs/servers.md",
            )  # fmt: skip


def check_version(server: Mapping[str, str]) -> None:
    """Look whether a server is recent enough; `server`: what INFO says of it.

    :raises ServerRefused: when it is too old.
    """
    version = server.get("redis_version", "")
    major = version.partition(".")[0]
    if not major.isdecimal():
        raise ServerRefused(
            f"the server reports no version that can be read ({version!r:.100}): is it Redis or Valkey?"
        )
    if int(major) < 7:
        raise ServerRefused(f"the server is Redis {version}: 7.0 or later is needed (or any Valkey)")


def check_role(replication: Mapping[str, str]) -> None:
    """Look whether a server loses what it accepts.

    A replica that refuses writes is waited for: it may become the primary.

    :raises ServerRefused: when it is a replica that takes writes.
    """
    if replication.get("role") == "slave" and replication.get("slave_read_only") == "0":
        raise ServerRefused(
            "the server is a replica that takes writes (replica-read-only no), and loses them when it resynchronises: use "
            "the address of its primary"
        )


def check_policy(policy: str) -> None:
    """Look whether a server keeps what it has when its memory is full.

    :raises ServerRefused: when it would evict messages.
    """
    if policy != _NEVER_EVICTS:
        raise ServerRefused(
            f"the server's maxmemory-policy is {policy}: it would evict messages. Set it with "
            "`CONFIG SET maxmemory-policy noeviction`, and in redis.conf; where the service forbids CONFIG, in its "
            "parameter group (ElastiCache, MemoryDB) or its settings (docs/servers.md)"
        )
