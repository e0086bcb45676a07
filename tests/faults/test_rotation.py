"""Services whose server gets another password while they work, from a file: nothing is lost, and nothing fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
from pydantic import SecretStr

from shared.local.embedded import EmbeddedServer
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.instruments.command_line import ROOT, command, environment
from tests.instruments.messages import Errand
from tests.instruments.services import consuming, running, wait_for
from tests.instruments.waiting import until

COUNTING = """
@handles(Errand)
async def count(delivery, pipeline):
    delivery.effects.hincrby(f"{{{pipeline.settings.queue}}}:seen", delivery.item.text)
    await pipeline.redis.get("a key")
"""
MESSAGES = 3000


class Admin:
    """Whoever changes the password of the user that the services have."""

    def __init__(self, client: "redis.asyncio.Redis", file: Path) -> None:
        self.client = client
        self.file = file
        self._word = ""

    async def rules(self, *words: str) -> None:
        await self.client.execute_command("ACL", "SETUSER", "weir", *words)  # type: ignore[no-untyped-call]

    def write(self, word: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{word}\n")
        fresh.rename(self.file)

    async def cut(self) -> None:
        """End every connection but ours."""
        await self.client.client_kill_filter(skipme=True)

    async def refusals(self) -> int:
        return int((await self.client.info("stats"))["acl_access_denied_auth"])


@asynccontextmanager
async def rotating(server: EmbeddedServer, folder: Path) -> AsyncIterator[Admin]:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        admin = Admin(client, folder / "password")
        await admin.rules("on", ">first", "~*", "&*", "+@all")
        admin.write("first")
        yield admin


@pytest.mark.slow
async def test_services_under_load_follow_a_password_that_changes(
    copy: Path, server: EmbeddedServer, name: str, tmp_path: Path
) -> None:
    url = server.url.replace("unix://", "unix://weir@")
    async with rotating(server, tmp_path) as admin:
        file = {"PIPELINE_PASSWORD_FILE": str(admin.file)}
        where = {"REDIS_URL": url, "PIPELINE_QUEUE": name, **file}
        settings = Settings(redis_url=SecretStr(url), queue=name, password_file=admin.file, maxsize=50)
        with (
            consuming(copy, COUNTING, url, name, **file) as consumer,
            running("producer.clock", copy, **where) as clock,
            running("monitor", ROOT, PIPELINE_MONITOR_PORT="0", **where) as monitor,
        ):
            for service, word in ((consumer, "consuming"), (clock, "clock runs"), (monitor, "page is served")):
                await asyncio.wait_for(asyncio.to_thread(wait_for, service, word), 30)
            async with open_pipeline(settings) as pipeline, asyncio.timeout(150):
                putting = asyncio.create_task(_put_all(pipeline.queue))
                for turn in range(6):
                    await _until_seen(admin, name, MESSAGES // 10 * (turn + 1))
                    await _rotate(admin, f"canary-{turn}", in_order=turn % 2 == 0)
                    await pipeline.schedule(Errand(text=f"later {turn}"), after=0.1)
                await putting
                await _until_seen(admin, name, MESSAGES + 6)
                await until(pipeline.queue.statistics, lambda seen: seen.leased + seen.pending + seen.delayed == 0)
                assert (await pipeline.queue.statistics()).dead == 0
            listed = await asyncio.to_thread(command, ("queue", "list"), environment(**where))
            assert name in listed.stdout
            counted = await admin.client.hgetall(f"{{{name}}}:seen")  # type: ignore[misc]
            assert set(counted.values()) == {b"1"}
            for service in (consumer, clock, monitor):
                service.terminate()
                _, said = await asyncio.to_thread(service.communicate, 60)
                assert service.returncode == 0, said
                assert "canary" not in said
                assert not [line for line in said.splitlines() if _is_error(line)], said


def _is_error(line: str) -> bool:
    return line.startswith("{") and json.loads(line)["level"] == "error"


async def _put_all(queue: object) -> None:
    for number in range(MESSAGES):
        await queue.put(Errand(text=f"message {number}"))  # type: ignore[attr-defined]


async def _until_seen(admin: Admin, name: str, count: int) -> None:
    async def seen() -> int:
        return int(await admin.client.hlen(f"{{{name}}}:seen"))  # type: ignore[misc]

    await until(seen, lambda found: found >= count, seconds=120)


async def _rotate(admin: Admin, word: str, *, in_order: bool) -> None:
    if in_order:
        await admin.rules(f">{word}")
        admin.write(word)
        await admin.rules("resetpass", f">{word}")
        await admin.cut()
        return
    await admin.rules("resetpass", f">{word}")
    await admin.cut()
    before = await admin.refusals()
    await until(admin.refusals, lambda seen: seen > before + 6)
    admin.file.unlink()
    await until(admin.refusals, lambda seen: seen > before + 10)
    admin.write(word)
