"""A real browser: the Chromium that is installed, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WHY_NOT: Final = "no Chromium is installed (Debian: apt-get install chromium)"

Scheme = Literal["light", "dark"]


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A browser without a window; its processes end with the block."""
    # Chromium refuses to make its sandbox as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def tab(
    browser: Browser,
    address: str,
    width: int = 1280,
    scheme: Scheme = "light",
    *,
    outages: bool = False,
    refusals: bool = False,
) -> AsyncIterator[Page]:
    """A page at an address; AssertionError at the end if its console had an error or it asked another host.

    `outages`: the console may say that a connection was lost; `refusals`: that a password was wrong. Nothing else.
    """
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, wrong = await context.new_page(), list[str]()

    def note(message: ConsoleMessage) -> None:
        is_expected = (outages and "net::ERR" in message.text) or (refusals and "status of 401" in message.text)
        if message.type in {"error", "warning"} and not is_expected:
            wrong.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(address) else None)
    await page.goto(address)
    try:
        yield page
    finally:
        await context.close()
    assert not wrong


async def shows(page: Page, **texts: str) -> None:
    """Wait until the page shows these."""
    for name, words in texts.items():
        await expect(page.locator(f"#{name.replace('_', '-')}")).to_have_text(words, timeout=15_000)
