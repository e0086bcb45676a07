"""The page in a real browser: its numbers are the truth, its text stays text, and an outage is seen and survived."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from shared import Priority
from shared.concurrency import Queue, ReadersWritersLease, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.browser import CHROMIUM, WHY_NOT, Scheme, shows, tab
from tests.instruments.page import Page as Served
from tests.instruments.page import watching
from tests.instruments.services import running, wait_for
from tests.instruments.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(90),
    pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT),
]

MARKUP = '<img src=x onerror="document.title=1"><b id="bold">bold</b>'

HIDE = """state => {
    Object.defineProperty(document, "hidden", {get: () => state === "hidden", configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
async def session(server: EmbeddedServer) -> AsyncIterator[Session]:
    async with Session.open(server.url) as session:
        yield session


@pytest.fixture
async def jobs(session: Session) -> AsyncIterator[Queue[str]]:
    """4 of 5 pending, 2 in hands, 1 to be tried again, 3 dead letters of two reasons."""
    queue = Queue(session, "jobs", str, maxsize=5)
    for reason in ("failed", "failed", "<b>odd</b>"):
        await queue.put(MARKUP)
        await (await queue.get()).dead_letter(reason)
    await queue.put_many(["one", "two", "three"])
    await (await queue.get()).nack(delay=3600)
    held = [await queue.get(), await queue.get()]
    await queue.put_many(list("abcd"))
    async with ReadersWritersLease(session, "catalog").write():
        pass
    yield queue
    for delivery in held:
        await delivery.ack()


@pytest.fixture
def served(server: EmbeddedServer, jobs: Queue[str]) -> Iterator[Served]:
    assert jobs.name == "jobs"
    with watching(server.url) as page:
        yield page


async def test_the_numbers_are_the_truth_and_follow_it(served: Served, browser: Browser, jobs: Queue[str]) -> None:
    waiting = asyncio.create_task(jobs.put_many(list("efghi")))
    seen = await until(jobs.statistics, lambda seen: seen.puts_waiting > 0)
    async with tab(browser, served.address) as page:
        await shows(page, name="jobs", bound="of 5", delayed="1", leased="2", connection="live")
        await shows(page, pending=str(seen.pending), waiting=str(seen.puts_waiting), state="Full: puts wait")
        await expect(page.locator("#dead tbody tr:first-child")).to_have_count(2)
        assert await page.locator("#dead tbody tr:first-child").all_inner_texts() == [
            "2\tfailed\t\N{EN DASH}\tSample", "1\t<b>odd</b>\t\N{EN DASH}\tSample",
        ]  # fmt: skip
        await expect(page.locator("#dead-count")).to_contain_text("3 kept, the oldest for")
        await expect(page).to_have_title(f"+{seen.puts_waiting} jobs · Weir")
        waiting.cancel()
        await asyncio.wait({waiting})
        async with await jobs.get():
            pass
        after = await until(jobs.statistics, lambda seen: seen.puts_waiting == 0)
        await shows(page, pending=str(after.pending), waiting="0", acked="0.1")


async def test_consumers_and_the_lease_are_shown(server: EmbeddedServer, browser: Browser, session: Session) -> None:
    catalog = ReadersWritersLease(session, "catalog")
    async with catalog.write():
        pass
    with running("consumer", REDIS_URL=server.url, PIPELINE_QUEUE="errands", PIPELINE_SESSION_TTL="1") as consumer:
        await asyncio.to_thread(wait_for, consumer, "consuming")
        with watching(server.url) as served:
            async with tab(browser, served.address) as page:
                row = page.locator("#consumers tr")
                await expect(row).to_have_count(1, timeout=15_000)
                await expect(row).to_contain_text(f":{consumer.pid}")
                await expect(row).to_contain_text("0 of 10", timeout=15_000)
                await shows(page, name="errands", consumer_count="1 at this queue")
                async with catalog.write() as lease:
                    now = f"holds #{str(lease.token)[-5:]}"
                    await expect(page.locator("#strip")).to_contain_text(now, timeout=15_000)
                await expect(page.locator("#strip")).to_contain_text("idle", timeout=15_000)
                assert await page.locator("#lease").input_value() == "catalog"
                consumer.kill()
                await shows(page, consumer_count="1 at this queue, 1 silent")
                await expect(row).to_contain_text("silent: what it holds is delivered again")


async def test_shares_are_shown_where_there_are_some_and_stay_text(
    server: EmbeddedServer, browser: Browser, session: Session
) -> None:
    queue, odd = Queue(session, "jobs", int, maxsize=40), "<b>odd</b>"
    await queue.put(1)
    with watching(server.url) as served:
        async with tab(browser, served.address) as page:
            await shows(page, name="jobs", pending="1")
            await expect(page.locator("#shares-box")).to_be_hidden()
            await queue.weigh(odd, 2)
            await queue.put_many(range(4), share=odd)
            await queue.put_many(range(35), share=lambda number: f"tenant-{number % 11:02}")
            waiting = asyncio.create_task(queue.put_many(range(5), share=odd, priority=Priority.HIGH))
            await until(queue.statistics, lambda seen: seen.puts_waiting == 5)
            await expect(page.locator("#shares tr")).to_have_count(10)
            await shows(page, share_count="13 have something waiting, 10 are listed")
            rows = await page.locator("#shares tr").all_inner_texts()
            # By name, so that a row stays where it is while its figures change.
            assert rows == sorted(rows)
            assert [row.split("\t") for row in rows[:2]] == [
                [odd, "high", "0", "5", "2"], [odd, "normal", "4", "0", "2"],
            ]  # fmt: skip
            for width in (390, 768, 1280):
                await page.set_viewport_size({"width": width, "height": 900})
                await fits(page, width)
            waiting.cancel()
            await asyncio.wait({waiting})
            for _ in range(40):
                async with await queue.get():
                    pass
            await expect(page.locator("#shares-box")).to_be_hidden()


async def test_a_payload_is_hidden_until_asked_for_and_stays_text(served: Served, browser: Browser) -> None:
    async with tab(browser, served.address) as page:
        sample = page.locator("#dead tbody").first
        await sample.get_by_role("button", name="Sample").click()
        await expect(sample.locator("dl")).to_contain_text("1 time, 0 of them failed")
        assert "bold" not in await page.content()
        show = sample.get_by_role("button", name="Show the payload")
        await show.click()
        await expect(sample.locator("pre")).to_contain_text('<b id=\\"bold\\">bold</b>')
        assert await page.locator("main img, main b, #bold").count() == 0
        assert await page.title() == "jobs · Weir"
        # It keeps the focus, and stays open, over the next views.
        before = await page.locator("#depth canvas").evaluate("_ => performance.now()")
        await page.wait_for_function("before => performance.now() - before > 2500", arg=before)
        assert await page.evaluate("document.activeElement.textContent") == "Hide the payload"
        await page.keyboard.press("Enter")
        await expect(sample.locator("pre")).to_be_hidden()


async def test_a_restart_of_the_server_is_shown_and_recovered_from(browser: Browser, durable: EmbeddedServer) -> None:
    async with Session.open(durable.url) as session:
        await Queue(session, "jobs", int, maxsize=5).put_many(range(3))
    with watching(durable.url) as served:
        async with tab(browser, served.address) as page:
            await shows(page, pending="3", connection="live")
            await asyncio.to_thread(durable.kill)
            await shows(page, connection="disconnected", pending="3")
            await expect(page.locator("#notice")).to_be_visible()
            await expect(page.locator("#notice-age")).to_contain_text("What is below is")
            await asyncio.to_thread(durable.start)
            await shows(page, connection="live", pending="3")
            await expect(page.locator("#notice")).to_be_hidden()


async def test_a_monitor_that_went_away_is_shown_and_comes_back(server: EmbeddedServer, browser: Browser) -> None:
    with watching(server.url) as first:
        port = str(first.port)
        async with tab(browser, first.address, outages=True) as page:
            await shows(page, connection="live", blank_title="No queue yet")
            first.service.terminate()
            assert await asyncio.to_thread(first.service.wait, 20) == 0
            await shows(page, connection="disconnected")
            with watching(server.url, PIPELINE_MONITOR_PORT=port):
                await shows(page, connection="live")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
async def test_nothing_is_wider_than_the_window(
    server: EmbeddedServer, jobs: Queue[str], browser: Browser, width: int, scheme: Scheme
) -> None:
    async with await jobs.get():
        pass
    await (await jobs.get()).dead_letter("a reason that somebody has written at some length, as people do now and then")
    with watching(server.url, PIPELINE_MONITOR_PASSWORD="correct horse") as served:
        async with tab(browser, served.address, width, scheme) as page:
            await shows(page, name="jobs")
            await page.get_by_role("button", name="Sample of failed").click()
            await page.get_by_role("button", name="Show the payload").click()
            await expect(page.locator("#dead pre")).to_be_visible()
            await fits(page, width)
            await page.get_by_role("button", name="Discard this one").click()
            await expect(page.locator("#act")).to_be_visible()
            await fits(page, width)


async def fits(page: Page, width: int) -> None:
    """AssertionError where something is beyond the window, or text is cut that should not be."""
    wide = await page.evaluate(
        "[...document.querySelectorAll('body *')]"
        ".filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)"
        ".map(each => `${each.tagName} ${each.id} ${each.className}`)"
    )
    assert (await page.evaluate("document.documentElement.scrollWidth") <= width, wide) == (True, wide)
    cut: Any = await page.evaluate(
        "[...document.querySelectorAll('.now dt, .now dd, h2, .side dd, button, dialog p')]"
        ".filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent)"
    )
    assert cut == []


async def test_all_can_be_done_with_the_keyboard(
    server: EmbeddedServer, browser: Browser, session: Session, jobs: Queue[str]
) -> None:
    assert jobs.name == "jobs"
    await Queue(session, "later", int).put(1)
    with watching(server.url) as again:
        async with tab(browser, again.address) as page:
            await shows(page, name="jobs")
            await page.keyboard.press("j")
            await shows(page, name="later", bound="no bound", pending="1")
            await page.keyboard.press("k")
            await shows(page, name="jobs")
            await page.keyboard.press("/")
            await page.keyboard.type("lat")
            await expect(page.locator("#queues a")).to_have_count(1)
            await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")
            await shows(page, name="later")
            await page.evaluate("document.activeElement.blur()")
            await page.keyboard.press(" ")
            await shows(page, connection="frozen here", freeze="Frozen")
            await page.keyboard.press(" ")
            await shows(page, connection="live", freeze="Freeze")
            await page.keyboard.press("?")
            await expect(page.locator("#about")).to_be_visible()
            await page.keyboard.press("Escape")
            await expect(page.locator("#about")).to_be_hidden()


async def test_a_hidden_tab_stops_the_stream(served: Served, browser: Browser) -> None:
    async with tab(browser, served.address) as page:
        await shows(page, connection="live")
        async with page.expect_event("requestfailed", lambda request: "/events" in request.url):
            await page.evaluate(HIDE, "hidden")
        async with page.expect_request(lambda request: "/events" in request.url):
            await page.evaluate(HIDE, "visible")
        await shows(page, connection="live")
