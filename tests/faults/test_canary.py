"""One canary for each secret, and every door that a secret could leave by: it is in none of them."""

import asyncio
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from shared.concurrency import ConcurrencyError, Lock, Queue, Session
from shared.concurrency.blocking import BlockingSession
from shared.concurrency.session.session import process_of
from shared.environment import Environment, SettingsError
from shared.local.embedded import EmbeddedServer
from tests.instruments.command_line import ROOT, command, environment
from tests.instruments.page import watching
from tests.instruments.services import running, wait_for

ADDRESS: Final = "canary-of-the-address"
ACTIONS: Final = "canary-of-the-actions"
SECRETS: Final = (ADDRESS, ACTIONS)


@pytest.fixture
def guarded(server: EmbeddedServer) -> str:
    """The address of a server that asks for the password."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", ADDRESS)
    return f"{server.url}&password={ADDRESS}"


def in_none_of(*texts: object) -> None:
    """Neither secret is in any of these, nor what a URL would write for it."""
    for text in texts:
        for secret in SECRETS:
            assert secret not in str(text)


def all_of(error: BaseException) -> str:
    """All that is shown of an error: text, notes, causes, and the lines around it."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


async def test_no_object_and_no_line_of_the_engine_has_it(guarded: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Session.open(guarded) as session:
        queue, lock = Queue(session, "jobs", int), Lock(session, "one")
        await queue.put(1)
        delivery = await queue.get()
        async with lock:
            process = process_of(session)
            shown: list[Any] = [
                session,
                queue,
                lock,
                delivery,
                process,
                process._links,
                process._links.address,
                process.calls,
            ]
            in_none_of(*map(repr, shown), *map(str, shown), process._links.address.shown)
        await delivery.ack()
    in_none_of(caplog.text, [record.__dict__ for record in caplog.records])


def test_no_blocking_session_shows_it(guarded: str) -> None:
    with BlockingSession(guarded) as session:
        in_none_of(repr(session), str(session))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url: url.replace(ADDRESS, f"{ADDRESS}-wrong"),
        lambda url: url.replace(".sock", ".no-sock").replace("redis.sock", "x"),
        lambda url: url + "&nonsense=1",
        lambda _: f"redis://:{ADDRESS}@127.0.0.1:1/0",
        lambda _: f"redis://user:{ADDRESS}@[::1/0",
        lambda _: f"http://user:{ADDRESS}@host/",
        lambda _: f"rediss://:{ADDRESS}@127.0.0.1:1/0?ssl_ca_certs=/nowhere",
        lambda _: f"redis://:{ADDRESS}@host:port/0",
        lambda _: f"redis://:{ADDRESS}#@host/0",
    ],
    ids=["wrong", "nobody", "option", "refused", "brackets", "http", "tls", "port", "fragment"],
)
async def test_no_error_of_a_wrong_address_has_it(
    guarded: str, spoil: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises((ConcurrencyError, ValueError)) as caught:
        async with Session.open(spoil(guarded), connect_timeout=0.2):
            pass
    in_none_of(all_of(caught.value), caplog.text)


def test_no_setting_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (f"redis://:{ADDRESS}@host/0", f"http://:{ADDRESS}@host", f"redis://:{ADDRESS}@[::1"):
        monkeypatch.setenv("REDIS_URL", address)
        monkeypatch.setenv("PIPELINE_MONITOR_PASSWORD", ACTIONS)
        try:
            settings = Environment.load()
            in_none_of(repr(settings), str(settings), settings.model_dump(), settings.model_dump_json())
        except SettingsError as error:
            in_none_of(all_of(error))


async def test_no_service_says_it(guarded: str) -> None:
    settings = {
        "REDIS_URL": guarded,
        "PIPELINE_LOG_LEVEL": "debug",
        "PIPELINE_MONITOR_PASSWORD": ACTIONS,
        "PIPELINE_METRICS_PORT": "0",
    }
    with running("consumer", **settings) as service:
        said = await asyncio.to_thread(wait_for, service, "consuming")
        check = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "consumer", "--check"], cwd=ROOT, env=environment(**settings), capture_output=True,
            check=False, timeout=60,
        )  # fmt: skip
        in_none_of(check.stdout, check.stderr)
        service.terminate()
        in_none_of(*said, await asyncio.to_thread(service.communicate, 30))


async def test_no_page_says_it(guarded: str) -> None:
    with watching(guarded, PIPELINE_MONITOR_PASSWORD=ACTIONS, PIPELINE_LOG_LEVEL="debug") as page:
        with page.stream() as stream:
            in_none_of(await asyncio.to_thread(stream.view))
        for path in (
            "/",
            "/snapshot.json",
            "/healthz",
            "/readyz",
            "/metrics",
            "/letter?queue=jobs",
            "/static/page.js",
            "/nowhere",
        ):
            answer = await asyncio.to_thread(page.ask, path)
            in_none_of(answer.body, answer.headers)
        for word in ("Basic QWRhOndyb25n", f"Bearer {ACTIONS}", ACTIONS):
            answer = await asyncio.to_thread(page.ask, "/actions/pause", "POST", "{}", Authorization=word)
            in_none_of(answer.body, answer.headers)
        page.service.terminate()
        in_none_of(await asyncio.to_thread(page.service.communicate, 30))


@pytest.mark.slow
async def test_no_command_says_it(guarded: str, tmp_path: Path) -> None:
    wrong = guarded.replace(ADDRESS, f"{ADDRESS}-wrong")
    for url in (
        guarded,
        wrong,
        f"redis://:{ADDRESS}@[::1",
        f"redis://:{ADDRESS}@host:port/0",
        f"unix://:{ADDRESS}@{tmp_path}/no.sock",
    ):
        done = await asyncio.to_thread(command, ("queue", "list"), environment(REDIS_URL=url))
        in_none_of(done.stdout, done.stderr)
    assert ADDRESS not in os.environ.get("REDIS_URL", "")
