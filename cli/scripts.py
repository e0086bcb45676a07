"""The scripts as the server runs them, for clients in other languages: a Lua file for each, the contracts as JSON."""

import json
from pathlib import Path
from typing import Any

from shared.concurrency.locks.leases.keys import BARRIER_KEYS, CONDITION_KEYS, EVENT_KEYS, LEASE_KEYS, RATE_KEYS
from shared.concurrency.queues.membership.keys import LEASED, QUEUE_KEYS
from shared.concurrency.session import scripts
from shared.concurrency.session.names import KeyDescription

_CONTRACTS = "scripts.json"
_OF_LOCKS = {**LEASE_KEYS, **EVENT_KEYS, **CONDITION_KEYS, **BARRIER_KEYS, **RATE_KEYS}
_OF_QUEUES = {**QUEUE_KEYS, "leased": LEASED._replace(suffix="leased:SESSION")}


class ScriptsError(Exception):
    """The scripts cannot be written; the message says why."""


def write(directory: Path) -> list[Path]:
    """Write all files into a directory, created if needed; returns their paths, sorted. Raises ScriptsError."""
    found = {name: scripts.of_both_sets(name) for name in scripts.names()}
    files = {_file(script): script.source for both in found.values() for script in both}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, source in files.items():
            (directory / file).write_bytes(source)
        contracts = {name: _contract(*both) for name, both in found.items()}
        (directory / _CONTRACTS).write_text(json.dumps(contracts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ScriptsError(f"the scripts cannot be written: {error}") from error
    return sorted(directory / file for file in (_CONTRACTS, *files))


def _file(script: scripts.Script) -> str:
    return f"{script.name}.flow.lua" if script.is_flow else f"{script.name}.lua"


def described(script: scripts.Script) -> dict[str, KeyDescription]:
    """Return the keys of a script in order, by the words of its header; locks and queues describe their own."""
    known = _OF_LOCKS if script.name in scripts.names("locks") else _OF_QUEUES
    return {word: known[word] for word in script.keys}


def _contract(script: scripts.Script, flow: scripts.Script | None = None) -> dict[str, Any]:
    """The contract of a script; under `flow` that of the same script of the flow set, where it is another one."""
    contract: dict[str, Any] = {
        "sha1": script.sha.decode(),
        "keys": [
            {"word": word, "type": key.kind, "suffix": key.suffix, "holds": key.holds}
            for word, key in described(script).items()
        ],
        "arguments": list(script.arguments),
        "any_number_of": script.rest,
    }
    return contract | {"flow": _contract(flow)} if flow else contract
