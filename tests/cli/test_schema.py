"""`pipeline schema`: what it writes is of the message classes, and the AsyncAPI document is one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.instruments.command_line import environment

ROOT = Path(__file__).resolve().parent.parent.parent

# The fields of AsyncAPI 3.0.0 that we use or may come to use, by object; `!`: it must be there. Extensions aside,
# others are wrong.
FIELDS: Final[dict[str, set[str]]] = {
    "document": {"asyncapi!", "id", "info!", "servers", "defaultContentType", "channels", "operations", "components"},
    "info": {"title!", "version!", "description", "termsOfService", "contact", "license", "tags", "externalDocs"},
    "channel": {
        "address", "messages", "title", "summary", "description", "servers", "parameters", "tags", "externalDocs", "bindings",
    },
    "parameter": {"enum", "default", "description", "examples", "location"},
    "operation": {
        "action!", "channel!", "title", "summary", "description", "security", "tags", "externalDocs", "bindings", "traits",
        "messages", "reply",
    },
    "components": {
        "schemas", "servers", "channels", "operations", "messages", "securitySchemes", "serverVariables", "parameters",
        "correlationIds", "replies", "replyAddresses", "externalDocs", "tags", "operationTraits", "messageTraits",
        "serverBindings", "channelBindings", "operationBindings", "messageBindings",
    },
    "message": {
        "headers", "payload", "correlationId", "contentType", "name", "title", "summary", "description", "tags",
        "externalDocs", "bindings", "examples", "traits",
    },
}  # fmt: skip


def pipeline(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """The command as its user starts it: a process that the tests forked knows message classes of theirs too."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=environment(**settings), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the command writes now."""
    directory = tmp_path_factory.mktemp("schema") / "new" / "folder"
    done = pipeline("schema", "--into", str(directory))
    assert (done.returncode, done.stderr) == (0, "")
    files = {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}
    assert done.stdout.splitlines() == [str(directory / name) for name in sorted(files)]
    return files


@pytest.fixture(scope="module")
def document(written: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written["asyncapi.json"])
    return found


def test_it_does_not_depend_on_the_environment_or_on_chance(written: dict[str, str], tmp_path: Path) -> None:
    done = pipeline("schema", "--into", str(tmp_path), PYTHONHASHSEED="7", PIPELINE_QUEUE="others", LC_ALL="C")
    assert done.returncode == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == written


def test_every_message_class_has_its_schema(written: dict[str, str], document: dict[str, Any]) -> None:
    program = "import shared.messages\nfrom shared.message import Message\nprint(*sorted(Message.registered()))"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert sorted(written) == sorted([*(f"{name}.json" for name in said), "asyncapi.json"])
    assert sorted(document["components"]["messages"]) == said
    for name in said:
        schema = json.loads(written[f"{name}.json"])
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert (schema["title"], schema["type"], schema["additionalProperties"]) == (name, "object", False)
        assert set(schema.get("required", [])) <= set(schema["properties"])


def objects(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, by its kind."""
    yield "document", document
    yield "info", document["info"]
    yield "components", document["components"]
    for channel in document["channels"].values():
        yield "channel", channel
        for parameter in channel["parameters"].values():
            yield "parameter", parameter
    for operation in document["operations"].values():
        yield "operation", operation
    for message in document["components"]["messages"].values():
        yield "message", message


def test_every_object_has_the_fields_that_asyncapi_gives_it(document: dict[str, Any]) -> None:
    for kind, found in objects(document):
        needed = {field.removesuffix("!") for field in FIELDS[kind] if field.endswith("!")}
        assert needed <= set(found) <= {field.removesuffix("!") for field in FIELDS[kind]}, kind
    assert document["asyncapi"] == "3.0.0"
    for channel in document["channels"].values():
        for parameter in channel["parameters"]:
            assert f"{{{parameter}}}" in channel["address"]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for word, value in node.items():
            if word == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_somewhere(written: dict[str, str]) -> None:
    for name, text in written.items():
        for reference in references(json.loads(text)):
            file, _, pointer = reference.partition("#")
            node = json.loads(written[file.removeprefix("./") or name])
            for step in filter(None, pointer.split("/")):
                node = node[step.replace("~1", "/").replace("~0", "~")]


def test_the_producer_sends_and_the_consumer_receives_all_messages_through_the_queue(document: dict[str, Any]) -> None:
    operations = document["operations"].values()
    assert sorted(operation["action"] for operation in operations) == ["receive", "send"]
    ours = {f"#/channels/queue/messages/{name}" for name in document["channels"]["queue"]["messages"]}
    for operation in operations:
        assert operation["channel"] == {"$ref": "#/channels/queue"}
        # An operation's messages must be those of its channel, and lead there.
        assert {message["$ref"] for message in operation["messages"]} == ours
    assert set(document["channels"]["queue"]["messages"]) == set(document["components"]["messages"])


def test_what_cannot_be_written_is_one_line_and_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = pipeline("schema", "--into", str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("pipeline: the schema cannot be written")
