"""Changes of message classes since their schema was written: those that old and new processes can live with, or not."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

VERSION: Final = "x-version"
"""The version of a class, in its schema; left out for 1."""
FORMERLY: Final = "x-formerly"
"""The names that a class had, in its schema."""
_ASYNCAPI: Final = "asyncapi.json"
_SAYS_NOTHING: Final = {
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "$schema",
    "$defs",
    VERSION,
    FORMERLY,
}
"""Words of a schema that change nothing about which messages fit; `$defs` are looked at where they are named."""
_PAGE: Final = "docs/messages-that-change.md"


@dataclass(frozen=True)
class Change:
    """What became of one class."""

    name: str
    """The file of its schema."""
    text: str
    """A line for whoever changed it."""
    is_wrong: bool = False
    """Whether something is to be done first."""


def compare(before: Mapping[str, str], now: Mapping[str, str]) -> list[Change]:
    """Compare the files that were written before with those of now, by name; each is the JSON Schema of a class."""
    old, new = _schemas(before), _schemas(now)
    former = {f"{name}.json": file for file, schema in new.items() for name in schema.get(FORMERLY, [])}
    changes = []
    for file, schema in new.items():
        was = next((name for name in (file, *former) if name in old and former.get(name, name) == file), None)
        if was is None:
            changes.append(Change(file, f"{_name(file)}: new; call ./run pipeline schema"))
        else:
            changes += _change(file, old[was], schema)
            if was != file:
                changes.append(Change(file, f"{_name(was)} is called {_name(file)} now: delete docs/schema/{was}"))
    for file in sorted(set(old) - set(new) - set(former)):
        text = (
            f'{_name(file)}: there is no such class any more: write formerly=("{_name(file)}",) behind the class that it '
            f"became, or delete docs/schema/{file} once no queue holds a message of it; see {_PAGE}"
        )
        changes.append(Change(file, text, is_wrong=True))
    return changes


def _schemas(files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, text in files.items():
        if name != _ASYNCAPI:
            try:
                schema = json.loads(text)
            except ValueError:
                schema = None
            found[name] = schema if isinstance(schema, dict) else {}
    return found


def _name(file: str) -> str:
    return file.removesuffix(".json")


def _change(file: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    """What became of a class that has a schema: at most one change."""
    name, before, now = _name(file), old.get(VERSION, 1), new.get(VERSION, 1)
    broken: list[str] = []
    added: list[str] = []
    for is_compatible, text in _Comparison(old, new).differences():
        (added if is_compatible else broken).append(text)
    if now < before:
        text = f"{name}: it had version {before} and has {now}: a version never goes back; write version={before + 1}"
        yield Change(file, text, is_wrong=True)
    elif now > before:
        yield Change(file, f"{name}: version {now}, after {before}; call ./run pipeline schema")
    elif broken:
        text = (
            f"{name}: a new version is needed ({', '.join(broken)}): write version={now + 1} behind its base class and "
            f"@upgrades({name}, from_version={now}), then call ./run pipeline schema; see {_PAGE}"
        )
        yield Change(file, text, is_wrong=True)
    elif added:
        yield Change(file, f"{name}: compatible ({', '.join(added)}); call ./run pipeline schema")


class _Comparison:
    """Compares two schemas of one class.

    Both directions count: an old process reads new messages, for which it ignores fields that it does not know, and a
    new one reads old messages, for which a field that was added has its default.
    """

    def __init__(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        self._old, self._new = old, new
        self._within: set[tuple[str, str]] = set()
        """The pairs of named schemas that were compared, or are: a schema may be part of itself."""

    def differences(self) -> Iterator[tuple[bool, str]]:
        """Each difference: whether it is compatible, and what it is."""
        yield from self._compare(self._old, self._new, "")

    def _compare(self, old: Any, new: Any, where: str, word: str = "") -> Iterator[tuple[bool, str]]:
        """`where`: the field; `word`: that of its schema which is compared."""
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self._compare_schemas(old, new, where)
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            for one, other in zip(old, new, strict=True):
                yield from self._compare(one, other, where, word)
        elif old != new:
            yield False, f"{where or 'it'}: {word} changed"

    def _compare_schemas(self, old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[tuple[bool, str]]:
        refs = old.get("$ref", ""), new.get("$ref", "")
        if all(refs):  # one alone says nothing of the other schema, and comes to an end where that does
            if refs in self._within:
                return
            self._within.add(refs)
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        for word in sorted((old.keys() | new.keys()) - _SAYS_NOTHING - {"properties", "required"}):
            yield from self._compare(old.get(word), new.get(word), where, word)
        yield from self._compare_fields(old, new, where)

    def _compare_fields(self, old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[tuple[bool, str]]:
        fields, others = old.get("properties", {}), new.get("properties", {})
        needed, needed_now = set(old.get("required", [])), set(new.get("required", []))
        for name in [*fields, *(other for other in others if other not in fields)]:
            path = f"{where}.{name}" if where else name
            if name not in others:
                yield False, f"{path} is gone"
            elif name not in fields:
                has_default = name not in needed_now
                yield (
                    has_default,
                    f"{path} added, with a default" if has_default else f"{path} added, without a default",
                )
            else:
                if name in needed_now - needed:
                    yield False, f"{path} has no default any more"
                yield from self._compare(fields[name], others[name], path)


def _resolved(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with what it refers to in its place."""
    place, found = schema.get("$ref"), root
    if not isinstance(place, str):
        return schema
    for step in place.removeprefix("#/").split("/"):
        found = found.get(step, {})
    return {**found, **{word: value for word, value in schema.items() if word != "$ref"}}
