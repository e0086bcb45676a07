"""The scripts as the server runs them, for clients in other languages: a Lua file for each, the contracts as JSON."""

import json
from pathlib import Path
from typing import Any

from shared.concurrency.locks.leases.keys import BARRIER_KEYS, CONDITION_KEYS, EVENT_KEYS, LEASE_KEYS
from shared.concurrency.queues.membership.keys import LEASED, QUEUE_KEYS
from shared.concurrency.session import scripts
from shared.concurrency.session.names import KeyDescription

_CONTRACTS = "scripts.json"
_OF_LOCKS = {**LEASE_KEYS, **EVENT_KEYS, **CONDITION_KEYS, **BARRIER_KEYS}
_OF_QUEUES = {**QUEUE_KEYS, "leased": LEASED._replace(suffix="leased:SESSION")}


class ScriptsError(Exception):
    """The scripts cannot be written; the message says why."""


def write(directory: Path) -> list[Path]:
    """Write all files into a directory, created if needed; returns their paths, sorted. Raises ScriptsError."""
    found = [scripts.load(name) for name in scripts.names()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for script in found:
            (directory / f"{script.name}.lua").write_bytes(script.source)
        contracts = {script.name: _contract(script) for script in found}
        (directory / _CONTRACTS).write_text(json.dumps(contracts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ScriptsError(f"the scripts cannot be written: {error}") from error
    return sorted([directory / _CONTRACTS, *(directory / f"{script.name}.lua" for script in found)])


def described(script: scripts.Script) -> dict[str, KeyDescription]:
    """Return the keys of a script in order, by the words of its header; locks and queues describe their own."""
    known = _OF_LOCKS if script.name in scripts.names("locks") else _OF_QUEUES
    return {word: known[word] for word in script.keys}


def _contract(script: scripts.Script) -> dict[str, Any]:
    return {
        "sha1": script.sha.decode(),
        "keys": [
            {"word": word, "type": key.kind, "suffix": key.suffix, "holds": key.holds}
            for word, key in described(script).items()
        ],
        "arguments": list(script.arguments),
        "any_number_of": script.rest,
    }
