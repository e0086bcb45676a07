"""Axe-core finds nothing serious on the page, in any of its states, in light and dark, on a screen and on a phone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from shared.concurrency import Queue, ReadersWritersLease, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.browser import CHROMIUM, WHY_NOT, Scheme, shows, tab
from tests.instruments.page import watching
from tests.instruments.services import running, wait_for
from tests.instruments.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]

AXE = Path(__file__).with_name("axe") / "axe.min.js"
PASSWORD = "correct horse"  # of this test
FIND = """async () => (await axe.run(document, {resultTypes: ["violations", "incomplete"]})).violations
    .map(each => ({id: each.id, impact: each.impact, where: each.nodes.map(node => node.target.join(" "))}))"""


async def problems(page: Page) -> list[Any]:
    """What axe finds, of every weight."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(
            AXE.read_text(encoding="utf-8")
        )  # not as a script of the page, which refuses others' scripts
    found: list[Any] = await page.evaluate(FIND)
    return found


@pytest.fixture
async def session(server: EmbeddedServer) -> AsyncIterator[Session]:
    async with Session.open(server.url) as session:
        yield session


@pytest.fixture
async def jobs(session: Session) -> AsyncIterator[Queue[str]]:
    """Full, with puts that wait, one in hands, one to be tried again, dead letters; a lease that is held."""
    queue = Queue(session, "jobs", str, maxsize=5)
    for reason in ("failed", "odd"):
        await queue.put("one")
        await (await queue.get()).dead_letter(reason)
    await queue.put_many(["one", "two"])
    await (await queue.get()).nack(delay=3600)
    held = await queue.get()
    waiting = asyncio.create_task(queue.put_many(list("abcdefgh")))
    await until(queue.statistics, lambda seen: seen.puts_waiting > 0)
    async with ReadersWritersLease(session, "catalog").write():
        yield queue
    waiting.cancel()
    await asyncio.wait({waiting})
    await held.ack()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_nothing_is_found_where_there_is_most_to_see(
    server: EmbeddedServer, browser: Browser, jobs: Queue[str], width: int, scheme: Scheme
) -> None:
    with (
        watching(server.url, PIPELINE_MONITOR_PASSWORD=PASSWORD) as served,
        running("consumer", REDIS_URL=server.url, PIPELINE_QUEUE="errands") as consumer,
    ):
        await asyncio.to_thread(wait_for, consumer, "consuming")
        async with tab(browser, served.address, width, scheme) as page:
            await page.evaluate("location.hash = 'jobs'")
            await shows(page, name=jobs.name, state="Full: puts wait", connection="live")
            assert await problems(page) == []
            await page.get_by_role("button", name="Sample of failed, no class").click()
            await page.get_by_role("button", name="Show the payload").click()
            await expect(page.locator("#dead pre")).to_be_visible()
            assert await problems(page) == []
            await page.get_by_role("button", name="Discard this one").click()
            await expect(page.locator("#act")).to_be_visible()
            assert await problems(page) == []
            await page.keyboard.press("Escape")
            await page.evaluate("location.hash = 'errands'")
            await expect(page.locator("#consumers tr")).to_have_count(1, timeout=15_000)
            assert await problems(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_found_while_there_is_nothing_to_see(
    server: EmbeddedServer, browser: Browser, scheme: Scheme
) -> None:
    with watching(server.url) as served:
        async with tab(browser, served.address, scheme=scheme) as page:
            await shows(page, blank_title="No queue yet")
            assert await problems(page) == []
            await page.locator("#help").click()
            assert await problems(page) == []
            await page.keyboard.press("Escape")
            async with Session.open(server.url) as session:
                await Queue(session, "jobs", int).put(1)
            await shows(page, name="jobs")
            server.kill()
            await shows(page, connection="disconnected")
            assert await problems(page) == []
            await page.reload()
            await shows(page, connection="disconnected")
            assert await problems(page) == []
