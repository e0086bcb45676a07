"""A client that knows docs/protocol.md and nothing else puts and takes beside ours."""

import ast
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.concurrency.session import scripts
from shared.local.embedded import EmbeddedServer
from tests.instruments.census import take_census

ROOT = Path(__file__).resolve().parent.parent.parent
RAW = ROOT / "examples" / "protocol" / "raw.py"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("written")
    done = ended("-m", "cli", "scripts", "--into", str(into))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(str(path) for path in into.iterdir())
    return into


@pytest.fixture
async def queue(server: EmbeddedServer, name: str) -> AsyncIterator[Queue[str]]:
    async with Session.open(server.url) as session:
        yield Queue(session, name, str, maxsize=3)


def ended(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def raw(server: EmbeddedServer, written: Path, name: str, *words: str) -> list[str]:
    address = server.url.removeprefix("unix://").partition("?")[0]
    done = ended("-m", "examples.protocol.raw", str(written), address, name, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def test_it_puts_and_ours_takes(server: EmbeddedServer, written: Path, queue: Queue[str], name: str) -> None:
    await queue.statistics()
    assert raw(server, written, name, "put", "one", "gr\u00f6\u00dfe", "three", "four") == ["a", "a", "a", "f"]
    for expected in ("one", "gr\u00f6\u00dfe", "three"):
        async with await queue.get() as item:
            assert item == expected


async def test_ours_puts_and_it_takes(server: EmbeddedServer, written: Path, queue: Queue[str], name: str) -> None:
    for item in ("one", "two"):
        await queue.put(item, id=item)
    held = await queue.get()
    await held.nack()
    # In its own process and session: it acknowledges, and leaves nothing behind.
    assert sorted(raw(server, written, name, "take", "2")) == ['"one"', '"two"']
    async with Redis.from_url(server.url) as client:
        census = await take_census(client, name)
    census.check()
    assert (census.unfinished, census.sessions) == (0, 1)


def test_it_imports_nothing_of_ours() -> None:
    tree = ast.parse(RAW.read_text(encoding="utf-8"))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_the_scripts_are_those_that_we_run(written: Path) -> None:
    contracts = json.loads((written / "scripts.json").read_text())
    assert sorted(contracts) == scripts.names()
    for script in scripts.scripts():
        file, contract = f"{script.name}.lua", contracts[script.name]
        if script.is_flow:
            file, contract = f"{script.name}.flow.lua", contract["flow"]
        assert (written / file).read_bytes() == script.source
        assert contract["sha1"] == script.sha.decode()
        assert [key["word"] for key in contract["keys"]] == list(script.keys)
        assert contract["arguments"] == list(script.arguments)


def test_a_directory_that_can_not_be_written_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = ended("-m", "cli", "scripts", "--into", str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pipeline: the scripts cannot be written")


async def test_stamps_never_go_back_and_entries_admitted_together_may_share_one(
    session: Session, client: Redis, name: str
) -> None:
    queue = Queue(session, name, int)
    await queue.put_many(range(5))
    await queue.put(5)
    entries: list[bytes] = await client.lrange(f"{{{name}}}:pending", 0, -1)  # type: ignore[misc]
    stamps = [entry[:16] for entry in entries]
    assert len(set(stamps[:5])) == 1
    assert stamps[5] > stamps[4]
    assert entries == sorted(entries)
