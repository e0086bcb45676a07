"""What a server answers instead of a result, as errors: each says whether the script ran, and what to do next."""

import re
from collections.abc import Mapping
from typing import Final

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from shared.concurrency.errors import ConcurrencyError, ServerRefused
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.names import Key
from shared.concurrency.session.scripts import Script

# Answers that say: not executed, try again later. LOADING arrives as a lost connection.
_LATER: Final = (
    "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "ASK ", "MISCONF", "NOREPLICAS", "UNBLOCKED", "NOSCRIPT",
)  # fmt: skip
_MOVED: Final = re.compile(r"MOVED (\d+) (.*):(\d+)$")
# What a server says of a command inside a script; Redis 7.0 in other words, without NOPERM.
_FORBIDDEN_INSIDE: Final = ("ACL failure", "The user executing the script can't")
# redis-py takes the code off the text of what it has a class for.
_CODES: Final = {
    "ReadOnlyError": "READONLY", "MasterDownError": "MASTERDOWN", "ClusterDownError": "CLUSTERDOWN",
    "OutOfMemoryError": "OOM", "TryAgainError": "TRYAGAIN", "AskError": "ASK", "MovedError": "MOVED",
    "NoScriptError": "NOSCRIPT",
}  # fmt: skip


_LACKS: Final = re.compile(r"unknown (?:sub)?command [`'\"]([\w|]+)", re.IGNORECASE)
_LACKS_WITHIN: Final = re.compile(r"Unknown (\w+ )?command called from script", re.IGNORECASE)
_SERVICES: Final = "docs/servers.md says what is needed, and which services have it"


class Disconnected(ConcurrencyError):
    """The connection broke while a call was under way: nobody knows whether the server carried it out."""


class Forbidden(ServerRefused):
    """The server's ACL forbids the call, or one of its keys; it was not carried out."""


class Lacking(ServerRefused):
    """The server does not know a command; nothing was carried out."""


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
    if text.startswith("OOM"):
        return OutOfMemory(text)
    if text.startswith(_LATER):
        return Postponed(text)
    if (other := moved(text) or lacks(error, script)) is not None:
        return other
    if any(words in text for words in _FORBIDDEN_INSIDE):  # it may have run half-way
        return ServerRefused(f"the server's ACL forbids the script {script.name}: {text}")
    if isinstance(error, NoPermissionError) or text.startswith("NOPERM"):
        return Forbidden(f"the server's ACL forbids the script {script.name}: {text}")
    return ConcurrencyError(f"the script {script.name} failed on the server: {text}")


def lacks(error: Exception, script: Script | None = None) -> Lacking | None:
    """The error that names the command which a server does not know; None for another one."""
    if script is not None and _LACKS_WITHIN.search(str(error)):
        return Lacking(f"the server lacks a command that the script {script.name} calls: {error}. {_SERVICES}")
    # redis-py makes a lost connection of what fails while it greets.
    found = _LACKS.search(str(error)) if isinstance(error, RedisError) else None
    if found is None:
        return None
    command = found[1].upper()
    if command == "HELLO":
        return Lacking(f"the server does not speak RESP3, which is needed: it lacks the command HELLO. {_SERVICES}")
    return Lacking(f"the server lacks the command {command}, without which nothing works: {error}. {_SERVICES}")


def is_withheld(error: ResponseError) -> bool:
    """Whether the server does not answer such a question at all, be it forbidden or unknown."""
    return not isinstance(error, AuthenticationError) and not f"{error}".startswith((*_LATER, "NOAUTH", "LOADING"))


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


def text_of(word: object) -> str:
    """A word of an answer as text."""
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)


def fields(info: bytes | str) -> dict[str, str]:
    """The fields of an INFO answer."""
    return dict(line.split(":", 1) for line in text_of(info).splitlines() if ":" in line)
