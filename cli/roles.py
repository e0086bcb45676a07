"""Roles: what each service may do at the server, no more than its work needs. `./run pipeline acl` prints it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.clock.deferred import SCHEDULE, UNSCHEDULE
from shared.concurrency.session.script_commands import commands_in, commands_of
from shared.concurrency.session.scripts import Script, scripts

# What a connection sends before anything else; the last two on a Cluster. HELLO and AUTH need no right.
_CONNECTS: Final = {
    "ping", "select", "info", "client|setname", "script|load", "evalsha_ro", "cluster|slots", "command",
}  # fmt: skip
# Scripts of those who operate, and of those who take messages out. Whatever is new is everybody's until it is here.
_OPERATES: Final = {
    "break_lease", "discard", "drain", "letters", "limit", "list_sessions", "newest_letter", "pause", "reopen", "replay", "resize",
    "resize_permits", "resume", "shutdown", "weigh",
}  # fmt: skip
_TAKES: Final = {"progress", "settle_and_take", "settle_with_effects", "stage", "unstage"}
# Outside of scripts: `schedule`, and the record of the shares of a source.
_DEFERS: Final = {each.lower() for each in commands_in(SCHEDULE) | commands_in(UNSCHEDULE)} | {"get"}
_SHARES: Final = {"hget", "hset", "expire", "time"}
# arq's, and those of the record of cron jobs.
_RUNS_JOBS: Final = {
    "dbsize", "del", "discard", "exec", "exists", "expire", "get", "incr", "incrby", "multi", "pexpire", "psetex", "set", "setex", "unwatch", "watch",
    "zadd", "zcard", "zincrby", "zrange", "zrangebyscore", "zrem", "zremrangebyscore", "zscore",
}  # fmt: skip
_LOOKS: Final = {"exists", "hlen", "hget", "lrange", "scan", "time", "type", "zcard", "zcount"}


@dataclass(frozen=True)
class Role:
    """What one kind of service may do."""

    name: str
    commands: frozenset[str]
    """As an ACL writes them."""
    only_looks: bool = False
    """Whether it opens no session, so receives nothing and registers nowhere, and writes nothing."""
    runs_jobs: bool = False
    """Whether it is the clock, and not one that defers messages alone."""

    def keys(self, queues: Sequence[str], more: Sequence[str]) -> list[str]:
        """The patterns of its keys, as an ACL writes them. `queues`: the only ones, if any; `more`: more patterns."""
        patterns = [pattern for queue in queues for pattern in _of_queue(queue)] or ["{*}:*", "{*}/*:*"]
        if self.runs_jobs:
            patterns.append("arq:*")
        elif not self.only_looks:
            patterns += [f"arq:*:message:{queue}:*" for queue in queues or ("*",)]
        begin = "%R~" if self.only_looks else "~"
        return [begin + pattern for pattern in dict.fromkeys([*patterns, *more])]

    def rules(self, queues: Sequence[str], keys: Sequence[str], commands: Sequence[str]) -> list[str]:
        """The rules of an ACL: they take away what else the user had, its passwords aside."""
        channels = [] if self.only_looks else ["&weir:*"]
        allowed = sorted(self.commands | {command.lower() for command in commands})
        return [
            "on", "clearselectors", "resetkeys", *self.keys(queues, keys), "resetchannels", *channels,
            "-@all", *(f"+{command}" for command in allowed),
        ]  # fmt: skip


def _of_queue(queue: str) -> list[str]:
    group, slash, name = queue.rpartition("/")
    if not slash:
        # And the leases of its source's shares.
        return [f"{{{queue}}}:*", f"{{{queue}.source.*}}:*"]
    # The clock's queue; and leases whose names are stored as digests.
    return [f"{{{group}}}/{name}:*", f"{{{queue}}}:clock*", "{~*}:*"]


def _called(chosen: Iterable[Script]) -> set[str]:
    return {command.lower() for script in chosen for command in commands_of(script)}


def _roles() -> dict[str, Role]:
    every = scripts()
    takes = [script for script in every if script.name not in _OPERATES]
    puts = [script for script in takes if script.name not in _TAKES]
    reads = [script for script in every if script.command == b"EVALSHA_RO"]
    # WAIT is for `PIPELINE_REPLICAS`.
    session = _CONNECTS | {"evalsha", "subscribe", "wait"}
    put = session | _called(puts) | _DEFERS
    return {
        role.name: role
        for role in (
            Role("producer", frozenset(put | _SHARES)),
            Role("consumer", frozenset(session | _called(takes) | _DEFERS)),
            Role("clock", frozenset(put | _RUNS_JOBS), runs_jobs=True),
            Role("monitor", frozenset(_CONNECTS | _called(reads) | _LOOKS), only_looks=True),
            Role("operator", frozenset(session | _called(every) | _DEFERS | _LOOKS)),
        )
    }


ROLES: Final = _roles()
"""By name."""
