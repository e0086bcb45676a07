"""Checks: what may be wrong with a server, each with what to do about it."""

from collections.abc import Callable, Iterator
from typing import Final

from cli.doctor.finding import Finding, error, unchecked, warning
from cli.doctor.patient import Patient
from shared.concurrency import ServerRefused
from shared.concurrency.session.examination import check_policy, check_version

Check = Callable[[Patient], Iterator[Finding]]

_ALLOW_INFO: Final = "allow INFO: ACL SETUSER <user> +info"
_FULL: Final = 0.8
_CLOCK_OFF: Final = 1.0
_FAR: Final = 0.01
_IN_THE_SERVICE: Final = "where the service forbids CONFIG: in its parameter group or settings, see docs/servers.md"


def version(patient: Patient) -> Iterator[Finding]:
    """Whether it is recent enough."""
    told = {word: str(value) for word, value in patient.info.items()} or {
        "redis_version": patient.hello.get("version", "")
    }
    try:
        check_version(told)
    except ServerRefused as refused:
        yield error("version", str(refused), "use Redis or Valkey, 7.0 or later")


def eviction(patient: Patient) -> Iterator[Finding]:
    """Whether it throws messages away when its memory is full."""
    policy = patient.setting("maxmemory-policy", "maxmemory_policy")
    if policy is None:
        yield unchecked(
            "eviction", "the server does not tell its maxmemory-policy: it has to be noeviction", _ALLOW_INFO
        )
        return
    try:
        check_policy(policy)
    except ServerRefused as refused:
        yield error(
            "eviction", str(refused), f"CONFIG SET maxmemory-policy noeviction, and in redis.conf; {_IN_THE_SERVICE}"
        )


def persistence(patient: Patient) -> Iterator[Finding]:
    """What a crash of the server, or a loss of power, takes back: docs/guarantees.md."""
    if (
        patient.info.get("aof_last_write_status", "ok") != "ok"
        or patient.info.get("rdb_last_bgsave_status", "ok") != "ok"
    ):
        yield error(
            "persistence", "the server could not write its data to disk the last time: it may refuse writes (MISCONF)",
            "see its log: is the disk full, or the folder not its own?",
        )  # fmt: skip
    append = patient.setting("appendonly", "aof_enabled")
    if append is None:
        yield unchecked("persistence", "the server does not tell whether it keeps anything on disk", _ALLOW_INFO)
    elif append not in ("yes", "1"):
        saves = patient.settings.get("save", "")
        lost = "all messages" if not saves else f"all since the last snapshot (save {saves})"
        yield warning(
            "persistence", f"the server has no append-only file: when it ends, {lost} are lost, acknowledged puts too",
            "CONFIG SET appendonly yes, and in redis.conf",
        )  # fmt: skip
    elif patient.settings.get("appendfsync") == "no":
        yield warning(
            "persistence", "appendfsync is no: a loss of power may take back the last half minute", "CONFIG SET appendfsync everysec"
        )  # fmt: skip
    elif patient.settings.get("no-appendfsync-on-rewrite") == "yes":
        yield warning(
            "persistence", "no-appendfsync-on-rewrite is yes: while the file is rewritten a loss of power takes back more than a second",
            "CONFIG SET no-appendfsync-on-rewrite no",
        )  # fmt: skip


def memory(patient: Patient) -> Iterator[Finding]:
    """Whether it has a limit, and room below it."""
    if "maxmemory" not in patient.info:
        yield unchecked("memory", "the server does not tell how much memory it uses", _ALLOW_INFO)
        return
    used, limit = int(patient.info.get("used_memory", 0)), int(patient.info["maxmemory"])
    if not limit:
        yield warning(
            "memory", "maxmemory has no limit: a full queue may end in a server that the system kills",
            "CONFIG SET maxmemory to three quarters of what the machine has: puts wait then instead",
        )  # fmt: skip
    elif used >= limit * _FULL:
        make = error if used >= limit else warning
        yield make(
            "memory", f"{used / limit:.0%} of maxmemory are in use: puts are refused when it is full",
            "raise maxmemory, lower the bounds of queues, or discard dead letters",
        )  # fmt: skip


def clock(patient: Patient) -> Iterator[Finding]:
    """Whether its clock agrees with ours: deferred messages are due by the one, cron jobs by the other."""
    ahead = patient.ahead_seconds
    if ahead is None:
        yield unchecked("clock", "the server does not tell its time", "allow TIME: ACL SETUSER <user> +time")
    elif abs(ahead) > _CLOCK_OFF:
        yield warning(
            "clock", f"the server's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the one here",
            "keep both with NTP: cron jobs and `schedule` go by the clock here, what they wait for by the server's",
        )  # fmt: skip


def replicas(patient: Patient) -> Iterator[Finding]:
    """Whether it is a primary, and what a failover takes back."""
    role = str(patient.info.get("role", patient.hello.get("role", "")))
    if not role:
        yield unchecked("replicas", "the server does not tell whether it is a primary", _ALLOW_INFO)
    elif role in ("slave", "replica"):
        yield error(
            "replicas", "the server is a replica: it refuses writes, or loses them", "use the address of its primary"
        )
    count = int(patient.info.get("connected_slaves", 0))
    least = int(patient.settings.get("min-replicas-to-write", 0))
    if least > count:
        yield error(
            "replicas", f"min-replicas-to-write is {least}, and {count} replicas are connected: it refuses writes",
            "bring the replicas back, or lower it",
        )  # fmt: skip
    elif count and not least and "min-replicas-to-write" in patient.settings:
        yield warning(
            "replicas", f"it has {count} replicas, and writes without them: a partition lets it acknowledge what a failover loses",
            "CONFIG SET min-replicas-to-write 1, with min-replicas-max-lag 10",
        )  # fmt: skip


def tls(patient: Patient) -> Iterator[Finding]:
    """Whether what is sent to another machine is encrypted."""
    if not patient.url.startswith("rediss") and not patient.is_near:
        yield warning(
            "tls", "the address is without TLS: messages and the password cross the network as they are",
            "use rediss://, if the network is not yours alone",
        )  # fmt: skip


def latency(patient: Patient) -> Iterator[Finding]:
    """How long a round trip takes: a put alone takes one, and a take."""
    if patient.round_trip_seconds > _FAR:
        yield warning(
            "latency", f"a round trip takes {patient.round_trip_seconds * 1000:.0f} ms: so does each put that waits for its answer",
            "run the services near the server, or put many at once",
        )  # fmt: skip


def connections(patient: Patient) -> Iterator[Finding]:
    """Whether there is room for more connections."""
    most = int(patient.setting("maxclients", "maxclients") or 0)
    used = int(patient.info.get("connected_clients", 0))
    if most and used >= most * _FULL:
        yield warning(
            "connections", f"{used} of {most} connections are open", "CONFIG SET maxclients, or fewer processes"
        )


CHECKS: Final[tuple[Check, ...]] = (
    version, eviction, persistence, memory, clock, replicas, tls, latency, connections,
)  # fmt: skip
"""All that ask nothing more of the server."""
