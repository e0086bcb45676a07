"""The JSON of a snapshot is what its schema says, and the schema is committed: scripts and pages build on it."""

import json
from pathlib import Path
from typing import Any

from monitor.link import open_link
from monitor.snapshot import Snapshot
from monitor.watch import open_watch
from shared.concurrency import Lock, Queue, Session
from tests.instruments.inside import renew_now
from tests.instruments.waiting import until
from tests.instruments.workers import working

SCHEMA = Path(__file__).resolve().parent.parent.parent / "docs" / "monitor" / "snapshot.schema.json"


def test_the_committed_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == Snapshot.model_json_schema()


async def test_a_full_snapshot_goes_into_json_and_back(url: str, session: Session, name: str) -> None:
    async def handle(_: object) -> None:
        pass

    queue = Queue(session, name, int, max_attempts=1)
    await queue.put_many([1, 2])
    await (await queue.get()).dead_letter("unwanted")
    async with open_link(url) as link, Lock(session, name), working(queue, handle):
        await queue.join()
        renew_now(session)
        async with open_watch(link) as watch:
            seen = await until(watch.snapshot, lambda seen: _has_load(seen, name))
    text = seen.model_dump_json()
    assert Snapshot.model_validate_json(text) == seen
    _compare(json.loads(text), Snapshot.model_json_schema(), Snapshot.model_json_schema()["$defs"])


def _has_load(seen: Snapshot, name: str) -> bool:
    queue = seen.queue(name)
    return queue is not None and any(each.load is not None for each in queue.sessions)


def _compare(value: Any, schema: dict[str, Any], defs: dict[str, Any]) -> None:
    """Every field of every object is in the schema, and every one that the schema requires is there."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        of_object: dict[str, Any] = next(
            (each for each in schema.get("anyOf", [schema]) if "properties" in each or "$ref" in each), {}
        )
        if "$ref" in of_object:
            _compare(value, of_object, defs)
            return
        assert value.keys() <= of_object["properties"].keys()
        assert set(of_object.get("required", ())) <= value.keys()
        for word, inner in value.items():
            _compare(inner, of_object["properties"][word], defs)
    elif isinstance(value, list) and "items" in schema:
        for inner in value:
            _compare(inner, schema["items"], defs)
