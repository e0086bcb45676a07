"""What can be done with the page, in a real browser: asked for once more, with the password, and by keyboard alone."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.browser import CHROMIUM, WHY_NOT, shows, tab
from tests.instruments.page import Page as Served
from tests.instruments.page import watching
from tests.instruments.services import running, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(90),
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]

PASSWORD = "correct h\N{LATIN SMALL LETTER O WITH DIAERESIS}rse"  # of this test; any text can be one


@pytest.fixture
async def jobs(server: EmbeddedServer) -> AsyncIterator[Queue[str]]:
    """1 pending of 10; dead letters: 2 failed, 120 odd."""
    async with Session.open(server.url) as session:
        queue = Queue(session, "jobs", str, maxsize=10)
        for reason in (*["failed"] * 2, *["odd"] * 120):
            await queue.put(f"<b>{reason}</b>")
            await (await queue.get()).dead_letter(reason)
        await queue.put("pending")
        yield queue


@pytest.fixture
def served(server: EmbeddedServer, jobs: Queue[str]) -> Iterator[Served]:
    assert jobs.name == "jobs"
    with watching(server.url, PIPELINE_MONITOR_PASSWORD=PASSWORD) as page:
        yield page


async def know(page: Page, password: str = PASSWORD) -> None:
    """Fill in who it is, as the dialog asks the first time."""
    await page.locator("#act-name").fill("Ada")
    await page.locator("#act-password").fill(password)


async def test_letters_are_replayed_and_discarded(served: Served, browser: Browser, jobs: Queue[str]) -> None:
    async with tab(browser, served.address) as page:
        await shows(page, name="jobs", access="Actions", pending="1")
        await page.get_by_role("button", name="Replay failed, no class").click()
        await shows(page, act_title="Replay 2 of failed, no class?", act_do="Replay 2")
        await know(page)
        await page.locator("#act-do").click()
        await shows(page, outcome="2 dead letters went back into jobs.", pending="3")
        await expect(page.locator("#act")).to_be_hidden()
        assert (await jobs.statistics()).pending == 3
        # The password is not asked for again; so many are typed before they are deleted.
        await page.get_by_role("button", name="Discard odd, no class").click()
        await expect(page.locator("#act-who")).to_be_hidden()
        await page.locator("#act-count").fill("12")
        await page.locator("#act-do").click()
        assert await page.locator("#act-count").evaluate("field => field.validity.patternMismatch")
        assert (await jobs.statistics()).dead == 120
        await page.locator("#act-count").fill("120")
        await page.locator("#act-do").click()
        await shows(page, outcome="120 dead letters of jobs deleted.", dead_count="none")
        assert (await jobs.statistics()).dead == 0
    served.service.terminate()
    _, said = await asyncio.to_thread(served.service.communicate, 30)
    lines = [json.loads(line) for line in said.splitlines()]
    acted = [(line["action"], line["by"]) for line in lines if line["event"] == "an action"]
    assert acted == [("replay", "Ada"), ("discard", "Ada")]


async def test_the_sample_alone_is_replayed_or_discarded(served: Served, browser: Browser, jobs: Queue[str]) -> None:
    async with tab(browser, served.address) as page:
        toggle = page.get_by_role("button", name="Sample of failed, no class")
        await toggle.click()
        await page.get_by_role("button", name="Replay this one").click()
        await know(page)
        await page.locator("#act-do").click()
        await shows(page, outcome="1 dead letter went back into jobs.", pending="2")
        await expect(page.get_by_role("button", name="Replay this one")).to_be_hidden()
        await expect(toggle).to_be_focused()
        await toggle.click()
        await page.get_by_role("button", name="Discard this one").click()
        await page.locator("#act-do").click()
        await shows(page, outcome="1 dead letter of jobs deleted.")
        seen = await jobs.statistics()
        assert (seen.pending, seen.dead) == (2, 120)
        await expect(page.locator("#dead tbody tr:first-child")).to_have_count(1)


async def test_a_queue_is_paused_resized_and_resumed_by_keyboard(
    served: Served, browser: Browser, jobs: Queue[str]
) -> None:
    async with tab(browser, served.address) as page:
        await shows(page, name="jobs")
        pause = page.locator("#pause")
        await pause.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#act-password")).to_be_focused()
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await shows(page, outcome="jobs is paused.", state="Paused: nothing is delivered", pause="Resume")
        assert (await jobs.statistics()).is_paused
        await expect(pause).to_be_focused()
        # What needs no typing begins at Keep, and Escape keeps too.
        await page.keyboard.press("Enter")
        await expect(page.locator("#act-keep")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(page.locator("#act")).to_be_hidden()
        assert (await jobs.statistics()).is_paused
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await shows(page, outcome="jobs delivers again.", state="", pause="Pause")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#act-bound")).to_be_focused()
        await page.locator("#act-bound").fill("7")
        await page.keyboard.press("Enter")
        await shows(page, outcome="jobs takes 7 pending messages at most.", bound="of 7")
        seen = await jobs.statistics()
        assert (seen.is_paused, seen.maxsize) == (False, 7)


async def test_a_wrong_password_changes_nothing_and_is_asked_for_again(
    served: Served, browser: Browser, jobs: Queue[str]
) -> None:
    async with tab(browser, served.address, refusals=True) as page:
        await page.locator("#pause").click()
        await know(page, "guess")
        await page.locator("#act-do").click()
        await shows(page, act_problem="the password is wrong")
        assert not (await jobs.statistics()).is_paused
        await know(page)
        await page.locator("#act-do").click()
        await shows(page, outcome="jobs is paused.")
        assert (await jobs.statistics()).is_paused


async def test_a_consumer_is_drained(server: EmbeddedServer, served: Served, browser: Browser) -> None:
    with running("consumer", REDIS_URL=server.url, PIPELINE_QUEUE="jobs") as consumer:
        await asyncio.to_thread(wait_for, consumer, "consuming")
        async with tab(browser, served.address) as page:
            await page.locator("#consumers").get_by_role("button").click(timeout=15_000)
            await expect(page.locator("#act-title")).to_contain_text(f":{consumer.pid}?")
            await know(page)
            await page.locator("#act-do").click()
            await shows(page, outcome="1 consumer of jobs will drain.")
            assert await asyncio.to_thread(consumer.wait, 30) == 0
            await shows(page, consumer_count="none at this queue")


async def test_without_a_password_there_is_no_button(
    server: EmbeddedServer, browser: Browser, jobs: Queue[str]
) -> None:
    assert jobs.name == "jobs"
    with watching(server.url) as page:
        async with tab(browser, page.address) as seen:
            await shows(seen, name="jobs", access="Read-only")
            await expect(seen.get_by_role("button", name="Sample of odd, no class")).to_be_visible()
            for word in ("Pause", "Resize", "Drain", "Replay", "Discard"):
                assert await seen.get_by_role("button", name=word).count() == 0, word
