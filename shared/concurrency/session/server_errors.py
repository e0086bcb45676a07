"""What a server answers instead of a result, as errors: each says whether the script ran, and what to do next."""

import re
from collections.abc import Mapping
from typing import Final

from redis.exceptions import NoPermissionError, ResponseError

from shared.concurrency.errors import ConcurrencyError, ServerRefused
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.names import Key
from shared.concurrency.session.scripts import Script

# Answers that say: not executed, try again later. LOADING arrives as a lost connection.
_LATER: Final = (
    "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "ASK ", "MISCONF", "NOREPLICAS", "UNBLOCKED",
)  # fmt: skip
_MOVED: Final = re.compile(r"MOVED (\d+) (.*):(\d+)$")
# redis-py takes the code off the text of what it has a class for.
_CODES: Final = {
    "ReadOnlyError": "READONLY", "MasterDownError": "MASTERDOWN", "ClusterDownError": "CLUSTERDOWN",
    "OutOfMemoryError": "OOM", "TryAgainError": "TRYAGAIN", "AskError": "ASK", "MovedError": "MOVED",
}  # fmt: skip


class Disconnected(ConcurrencyError):
    """The connection broke while a call was under way: nobody knows whether the server carried it out."""


class Forbidden(ServerRefused):
    """The server's ACL forbids the call, or one of its keys; it was not carried out."""


class Unasked(ConcurrencyError):
    """The server answered what nobody had asked: from here on no answer can be trusted."""


class OutOfMemory(ConcurrencyError):
    """The server's memory is full; the call was not carried out."""


class Postponed(ConcurrencyError):
    """The server cannot serve now; the call was not carried out."""


class Moved(ServerRefused):
    """Another node of the Cluster serves the name; the call was not carried out."""

    def __init__(self, slot: int, to: Endpoint) -> None:
        """`to`: the node that serves it; without a host it is that of the node which has answered."""
        super().__init__(
            f"the server is a node of a Cluster, and another one serves the slot {slot} of this name: write the address "
            "as redis+cluster://host1:port,host2:port"
        )
        self.slot = slot
        self.to = to


def moved(text: str) -> Moved | None:
    """What an answer says of where a name is; None when it says something else."""
    found = _MOVED.match(text)
    return None if found is None else Moved(int(found[1]), Endpoint(found[2], int(found[3])))


def translate(error: ResponseError, script: Script) -> ConcurrencyError:
    """The error that callers of this script get."""
    text, code = str(error), _CODES.get(type(error).__name__, "")
    if not text.startswith(code):
        text = f"{code} {text}"
    if (elsewhere := moved(text)) is not None:
        return elsewhere
    if text.startswith("OOM"):
        return OutOfMemory(text)
    if text.startswith(_LATER):
        return Postponed(text)
    if "ACL failure" in text:  # it may have run half-way
        return ServerRefused(f"the server's ACL forbids the script {script.name}: {text}")
    if isinstance(error, NoPermissionError) or text.startswith("NOPERM"):
        return Forbidden(f"the server's ACL forbids the script {script.name}: {text}")
    return ConcurrencyError(f"the script {script.name} failed on the server: {text}")


def wrong_key(script: Script, keys: Mapping[str, bytes], kinds: Mapping[str, str]) -> ConcurrencyError:
    """The error that names the key which holds another type than the script expects; `kinds`: what each holds now."""
    for word in script.keys:
        key, kind = keys[word], kinds[word]
        if isinstance(key, Key) and kind not in ("none", key.kind.lower()):
            return ConcurrencyError(
                f"the key {key.decode()} holds a {kind}, not a {key.kind.lower()} of ours: somebody else uses this "
                "name. Rename or delete that key, or choose another name"
            )
    return ConcurrencyError(f"a key of the script {script.name} held another type than expected")


def fields(info: bytes | str) -> dict[str, str]:
    """The fields of an INFO answer."""
    text = info.decode(errors="replace") if isinstance(info, bytes) else info
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def check_server(server: Mapping[str, str], memory: Mapping[str, str]) -> None:
    """Look whether a server can be used as it is.

    :raises ServerRefused: when it is too old, or would evict messages.
    """
    version = server.get("redis_version", "")
    major = version.partition(".")[0]
    if not major.isdecimal():
        raise ServerRefused(
            f"the server reports no version that can be read ({version!r:.100}): is it Redis or Valkey?"
        )
    if int(major) < 7:
        raise ServerRefused(f"the server is Redis {version}: 7.0 or later is needed (or any Valkey)")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ServerRefused(
            f"the server's maxmemory-policy is {policy}: it would evict messages. Set it with "
            "`CONFIG SET maxmemory-policy noeviction`, and in redis.conf"
        )
