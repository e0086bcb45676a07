"""The scripts: one file in `lua/` per atomic change, its header the contract.

A header names the KEYS in order, the ARGV with their units and what the script RETURNS. (What a key holds is described
once, in the keys of queues and leases.) The names are bound from the header (`local pending = KEYS[1]`), so that a
header cannot say what the script does not do. PARTS are pieces, most of them shared; they stand between the bindings
and the script.

There are two sets, built from the same files. The plain set has no lines between `-- FLOW` and `-- END`, of headers and
parts neither: a queue in which no message says anything of its way runs that one, and pays nothing for the other. The
flow set has them all.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_ARGUMENT = re.compile(r"^--   (\w+) +(\S.*)$")


@dataclass(frozen=True)
class Script:
    """One atomic change: its source as the server runs it, and its contract."""

    name: str
    source: bytes
    sha: bytes
    keys: tuple[str, ...]
    """What the script calls each key, in order."""
    arguments: tuple[str, ...]
    rest: str | None
    """The name of the arguments that may be any number, at the end."""
    parts: tuple[str, ...]
    is_flow: bool = False
    """Whether it is of the flow set, and not of the plain one."""
    command: bytes = b"EVALSHA"
    """What runs it: EVALSHA_RO where it writes nothing, which a user that may only read and a replica allow, too."""

    def pack(
        self,
        keys: Mapping[str, bytes],
        arguments: tuple[bytes | str | int, ...],
        more_keys: Sequence[bytes] = (),
    ) -> tuple[bytes | str | int, ...]:
        """The key count, keys and arguments of an EVALSHA, in the script's order; `more_keys` stand behind its own."""
        return (len(self.keys) + len(more_keys), *map(keys.__getitem__, self.keys), *more_keys, *arguments)


def when_memory_is_full(script: Script) -> Script:
    """The same script, for calls of it that only drain: the server runs it though its memory is full."""
    shebang, _, body = script.source.partition(b"\n")
    source = shebang + b" flags=allow-oom\n" + body
    return replace(script, source=source, sha=_sha(source))


def _sha(source: bytes) -> bytes:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


def _found(folder: Traversable) -> dict[str, Traversable]:
    """The Lua files below a folder, by name; `parts/` is a folder of its own."""
    found: dict[str, Traversable] = {}
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "parts":
            found |= _found(entry)
        elif entry.name.endswith(".lua"):
            found[entry.name.removesuffix(".lua")] = entry
    return found


def _read(folder: Traversable) -> dict[str, str]:
    return {name: entry.read_text(encoding="utf-8") for name, entry in _found(folder).items()}


# All are read at once: a process that may open no file any more needs one for no call, and one whose files are
# replaced while it runs does not mix them.
_LUA: Final = files("shared.concurrency") / "lua"
_SCRIPTS: Final = _read(_LUA)
_PARTS: Final = _read(_LUA / "parts")


def cut(text: str, *, flow: bool) -> str:
    """The text of a file for one of the two sets: the sections of flow without their marks, or nothing of them."""
    kept: list[str] = []
    is_inside = False
    for line in text.splitlines():
        mark = line.strip()
        if mark in ("-- FLOW", "-- END"):
            if is_inside == (mark == "-- FLOW"):
                raise ValueError(f"a section of flow ends before it begins, or begins within another: {mark}")
            is_inside = not is_inside
        elif flow or not is_inside:
            kept.append(line)
    if is_inside:
        raise ValueError("a section of flow has no end")
    return "\n".join(kept) + "\n"


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {"": []}
    current = ""
    for line in text.splitlines():
        if line.startswith("#!"):
            continue
        if not line.startswith("--"):
            break
        word = line[3:].split(" ")[0]
        if word in ("KEYS", "ARGV", "RETURNS", "PARTS"):
            current = word
            sections[current] = [line[3 + len(word) :].strip()]
        elif current in ("KEYS", "PARTS") and line.startswith("--   "):
            sections[current].append(line[3:])
        elif current == "ARGV" and (match := _ARGUMENT.match(line)):
            sections[current].append(f"{match[1]} {match[2]}")
    return sections


@cache
def load(name: str, *, flow: bool = False) -> Script:
    """A script of one of the two sets, with its bindings and parts; of the plain set as a rule."""
    text = cut(_SCRIPTS[name], flow=flow)
    shebang, _, body = text.partition("\n")
    sections = _sections(text)
    keys = tuple(" ".join(sections.get("KEYS", [])).split())
    arguments = [(line.split()[0], line.split()[1] == "...") for line in sections.get("ARGV", [""])[1:]]
    plain = tuple(word for word, rest in arguments if not rest)
    rest = next((word for word, rest in arguments if rest), None)
    parts = tuple(" ".join(sections.get("PARTS", [])).split())
    lines = [shebang]
    lines += [f"local {word} = KEYS[{at}]" for at, word in enumerate(keys, 1)]
    lines += [f"local {word} = ARGV[{at}]" for at, word in enumerate(plain, 1)]
    if rest:
        lines.append(f"local {rest} = {{}}")
        lines.append(f"for at = {len(plain) + 1}, #ARGV do {rest}[at - {len(plain)}] = ARGV[at] end")
    lines += [cut(_PARTS[part], flow=flow) for part in parts]
    source = ("\n".join(lines) + "\n" + body).encode()
    return Script(
        name=name,
        source=source,
        sha=_sha(source),
        keys=keys,
        arguments=plain,
        rest=rest,
        parts=parts,
        is_flow=flow,
        command=b"EVALSHA_RO" if "no-writes" in shebang else b"EVALSHA",
    )


def names(folder: str = "") -> list[str]:
    """The names of all scripts, or of those in one folder of `lua/`."""
    return sorted(_found(_LUA / folder) if folder else _SCRIPTS)


def of_both_sets(name: str) -> list[Script]:
    """The plain script of this name, and that of the flow set where it is another one."""
    plain, flow = load(name), load(name, flow=True)
    return [plain] if plain.sha == flow.sha else [plain, flow]


def scripts(folder: str = "") -> list[Script]:
    """All scripts of both sets, or those in one folder of `lua/`."""
    return [script for name in names(folder) for script in of_both_sets(name)]
