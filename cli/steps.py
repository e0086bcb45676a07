"""The steps as the server runs them, for clients in other languages: one Lua file each, and their contracts as JSON."""

import json
from pathlib import Path
from typing import Any

from shared.concurrency.locks.leases.keys import CONDITION_KEYS, EVENT_KEYS, LEASE_KEYS
from shared.concurrency.queues.membership.keys import LEASED, QUEUE_KEYS
from shared.concurrency.session import scripts
from shared.concurrency.session.names import KeyDescription

_OF_LOCKS = {**LEASE_KEYS, **EVENT_KEYS, **CONDITION_KEYS}
_OF_QUEUES = {**QUEUE_KEYS, "leased": LEASED._replace(suffix="leased:SESSION")}


class StepsError(Exception):
    """The steps cannot be written; the message says why."""


def write(directory: Path) -> list[Path]:
    """Write all files into a directory, which is made if it is not there; returns them, sorted. Raises StepsError."""
    steps = [scripts.load(name) for name in scripts.names()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for step in steps:
            (directory / f"{step.name}.lua").write_bytes(step.source)
        contracts = {step.name: _contract(step) for step in steps}
        (directory / "steps.json").write_text(json.dumps(contracts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StepsError(f"the steps cannot be written: {error}") from error
    return sorted([directory / "steps.json", *(directory / f"{step.name}.lua" for step in steps)])


def described(step: scripts.Script) -> dict[str, KeyDescription]:
    """The keys of a step in order, by what it calls them. A lease has a `line` as a queue does."""
    known = _OF_LOCKS if step.name in scripts.names("locks") else _OF_QUEUES
    return {word: known[word] for word in step.keys}


def _contract(step: scripts.Script) -> dict[str, Any]:
    return {
        "sha1": step.sha.decode(),
        "keys": [
            {"word": word, "type": key.kind, "suffix": key.suffix, "holds": key.holds}
            for word, key in described(step).items()
        ],
        "arguments": list(step.arguments),
        "any_number_of": step.rest,
    }
