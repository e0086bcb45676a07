"""The schema of the messages: JSON Schema for every message class, and one AsyncAPI document about the queue."""

import json
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import PydanticUserError

import shared.messages  # noqa: F401  # registers the message classes
from cli.changes import FORMERLY, VERSION, compare
from shared.message import Message
from shared.settings import Settings
from shared.upgrades import check_upgrades
from shared.version import VERSION as RELEASE

ROOT: Final = Path(__file__).resolve().parent.parent
DIRECTORY: Final = ROOT / "docs" / "schema"
_JSON_SCHEMA: Final = "https://json-schema.org/draft/2020-12/schema"
_JSON: Final = "application/json"
_ASYNCAPI: Final = "asyncapi.json"


class SchemaError(Exception):
    """The schema cannot be written; the message says why."""


def write(directory: Path) -> list[Path]:
    """Write all files into a directory, created if needed; returns their paths, sorted.

    Files of classes that no longer exist are left alone. Raises SchemaError, also when it would write over the schema
    of a class that needs a new version: then nothing would show that any more.
    """
    files = make()
    problems = [each.text for each in compare(read(directory), files) if each.is_wrong and each.name in files]
    if problems:
        raise SchemaError("\n".join(problems))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise SchemaError(f"the schema cannot be written: {error}") from error
    return sorted(directory / name for name in files)


def read(directory: Path) -> dict[str, str]:
    """Return the files that a directory holds, by name; none where there is no directory. Raises SchemaError."""
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.json"))}
    except (OSError, ValueError) as error:
        raise SchemaError(f"the schema in {directory} cannot be read: {error}") from error


def check(directory: Path) -> list[str]:
    """Compare the message classes with the schema that is committed; returns what has changed and is compatible.

    :raises SchemaError: when a class needs a new version, or the schema cannot be read.
    :raises UpgradeMissing: when an older version of a class cannot be upgraded.
    """
    check_upgrades()
    before, now = read(directory), make()
    changes = compare(before, now)
    problems = [each.text for each in changes if each.is_wrong]
    if problems:
        raise SchemaError("\n".join(problems))
    if not changes and before.get(_ASYNCAPI) != now[_ASYNCAPI]:
        return [f"docs/schema/{_ASYNCAPI} is out of date; call ./run pipeline schema"]
    return [each.text for each in changes]


def make() -> dict[str, str]:
    """Return the files by name; the same classes give the same bytes. Raises SchemaError."""
    classes = dict(sorted(Message.registered().items()))
    files = {f"{name}.json": _json_schema(tp) for name, tp in classes.items()}
    if any(name.lower() == _ASYNCAPI for name in files):
        raise SchemaError("a message class cannot be called asyncapi: rename it")
    return {name: _text(content) for name, content in {**files, _ASYNCAPI: _asyncapi(classes)}.items()}


def _json_schema(tp: type[Message]) -> dict[str, Any]:
    try:
        versions, former = tp.stored_versions(), [name for name, each in tp.formerly_registered().items() if each is tp]
        said = {VERSION: versions.number} if versions.number > 1 else {}
        return {"$schema": _JSON_SCHEMA, **said, **({FORMERLY: former} if former else {}), **tp.model_json_schema()}
    except PydanticUserError as error:
        raise SchemaError(f"{tp.__name__} has a field that JSON Schema cannot describe: {error}") from error


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _asyncapi(classes: dict[str, type[Message]]) -> dict[str, Any]:
    project = _project()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": project["name"],
            "version": RELEASE,
            "description": project["description"],
        },
        "defaultContentType": _JSON,
        "channels": {
            "queue": {
                "address": "{queue}",
                "title": "The queue",
                "description": "A bounded queue on Redis or Valkey; its keys begin with its name in braces.",
                "parameters": {
                    "queue": {
                        "description": "The name of the queue: PIPELINE_QUEUE.",
                        "default": Settings.model_fields["queue"].default,
                    }
                },
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in classes},
            }
        },
        "operations": {
            "put": _operation("send", "The producer puts messages in; while the queue is full, a put waits.", classes),
            "handle": _operation(
                "receive", "A consumer takes messages out, each at least once, and has each handled.", classes
            ),
        },
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "title": name,
                    "summary": (tp.__doc__ or name).strip().splitlines()[0],
                    "contentType": _JSON,
                    "payload": {"$ref": f"./{name}.json"},
                }
                for name, tp in classes.items()
            }
        },
    }


def _operation(action: str, summary: str, classes: dict[str, type[Message]]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/queue"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/queue/messages/{name}"} for name in classes],
    }


def _project() -> dict[str, str]:
    try:
        found: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except OSError as error:
        raise SchemaError(
            f"the name of the project is in pyproject.toml: {error}; run this in a clone of the project"
        ) from error
    return found
