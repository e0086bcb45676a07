"""The canaries once more, given by files: in no object, no line, no error, no argument, and in no environment."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import redis
from pydantic import SecretStr

from shared.concurrency import Queue, ServerRefused, Session
from shared.environment import Environment, SettingsError
from shared.local.embedded import EmbeddedServer
from shared.local.parent_death import tied
from shared.message import Message
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.faults.test_canary import ACTIONS, ADDRESS, all_of, in_none_of
from tests.instruments.command_line import ROOT, command, environment
from tests.instruments.messages import Errand
from tests.instruments.services import wait_for

HANDLER: Final = """
from consumer.registry import handles
from shared.messages import Errand


@handles(Errand, executor="process")
def work(delivery):
    pass
"""


class Yours(Environment):
    """Settings with a secret of an application's own."""

    api_key: SecretStr | None = None


def holding(folder: Path, secret: str | bytes) -> str:
    """The path of a file that holds this, as an editor or Compose writes it."""
    path = folder / "secret"
    path.write_bytes(secret if isinstance(secret, bytes) else f"{secret}\n".encode())
    return str(path)


@pytest.fixture
def guarded(server: EmbeddedServer) -> str:
    """The address, without the password, of a server that asks for it."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", ADDRESS)
    return server.url


SECRETS: Final = {
    "REDIS_URL_FILE": (f"redis://:{ADDRESS}@host/0", f"http://:{ADDRESS}@host", f"redis://:{ADDRESS}@[::1"),
    "PIPELINE_CLOCK_URL_FILE": (f"redis://:{ADDRESS}@host/0", f"redis://:{ADDRESS}@host:port"),
    "PIPELINE_PASSWORD_FILE": (ADDRESS, ADDRESS.encode() + b"\xff\x00", ADDRESS * 5000),
    "PIPELINE_MONITOR_PASSWORD_FILE": (ACTIONS, ACTIONS.encode() + b"\xff", ACTIONS * 5000),
    "PIPELINE_API_KEY_FILE": (ADDRESS, b"\xff" + ADDRESS.encode()),
}
"""A variable that names a file -> what may stand in that: a secret, and what is none."""


@pytest.mark.parametrize("variable", SECRETS)
def test_no_setting_that_is_read_from_a_file_shows_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    outcomes = list[str]()
    for secret in SECRETS[variable]:
        monkeypatch.setenv(variable, holding(tmp_path, secret))
        try:
            settings = Yours.load()
            in_none_of(repr(settings), str(settings), settings.model_dump(), settings.model_dump_json())
            outcomes.append("read")
        except SettingsError as error:
            in_none_of(all_of(error))
            outcomes.append("refused")
    assert outcomes[0] == "read"
    in_none_of(os.environ)


async def test_no_object_and_no_error_of_a_password_in_a_file_has_it(
    guarded: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = Path(holding(tmp_path, ADDRESS))
    settings = Settings(redis_url=SecretStr(guarded), password_file=file)
    async with open_pipeline(settings) as pipeline:
        await pipeline.queue.put(Errand(file="f", part=1, text="t"))
        await pipeline.redis.get("a key")
        for shown in (pipeline, pipeline.settings, pipeline.redis, pipeline.redis.connection_pool):
            in_none_of(repr(shown), str(shown))
    holding(tmp_path, f"{ADDRESS}-of-yesterday")
    with pytest.raises(ServerRefused) as caught:
        async with open_pipeline(settings):
            pass
    in_none_of(all_of(caught.value), caplog.text, [record.__dict__ for record in caplog.records])


@contextmanager
def started(module: str, folder: Path, **settings: str) -> "Iterator[subprocess.Popen[str]]":
    """A service as its image starts it: a program of its own, whose arguments and environment are all that it gets."""
    variables = environment(PYTHONPATH=str(folder), PIPELINE_LOG_LEVEL="debug", PIPELINE_METRICS_PORT="0", **settings)
    with subprocess.Popen(
        [sys.executable, "-m", module], cwd=folder, env=variables, stderr=subprocess.PIPE, text=True,
        preexec_fn=tied(),  # noqa: PLW1509  # it only calls the kernel
    ) as service:  # fmt: skip
        try:
            yield service
        finally:
            service.send_signal(signal.SIGTERM)
            service.communicate(timeout=60)


def processes_of(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        for child in (thread / "children").read_text().split():
            found += processes_of(int(child))
    return found


def shown_of(pid: int, what: str) -> str:
    """What others see of a process: `cmdline`, as ps shows it, or `environ`."""
    return Path(f"/proc/{pid}/{what}").read_text(errors="replace")


@pytest.mark.slow  # whole services, started from scratch
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("way", ["an address in a file", "a password in a file", "a variable"])
async def test_no_process_of_a_consumer_shows_it(copy: Path, guarded: str, name: str, tmp_path: Path, way: str) -> None:
    with_password = f"{guarded}&password={ADDRESS}"
    match way:
        case "an address in a file":
            settings = {"REDIS_URL_FILE": holding(tmp_path, with_password)}
        case "a password in a file":
            settings = {"REDIS_URL": guarded, "PIPELINE_PASSWORD_FILE": holding(tmp_path, ADDRESS)}
        case _:
            settings = {"REDIS_URL": with_password}
    (copy / "consumer" / "handlers.py").write_text(HANDLER)
    with started("consumer", copy, PIPELINE_QUEUE=name, **settings) as service:
        said = await asyncio.to_thread(wait_for, service, "consuming")
        async with Session.open(with_password) as session:
            queue = Queue(session, name, Message)
            await queue.put(Errand(file="f", part=1, text="t"))
            async with asyncio.timeout(60):
                await queue.join()
        family = processes_of(service.pid)
        assert len(family) > 1  # the handler's process is there
        in_none_of(*said, *(shown_of(pid, "cmdline") for pid in family))
        if way != "a variable":
            in_none_of(*(shown_of(pid, "environ") for pid in family))
            assert all("_FILE=" in shown_of(pid, "environ") for pid in family)  # it was looked at the right ones
        service.terminate()
        in_none_of(await asyncio.to_thread(service.communicate, None, 60))


@pytest.mark.slow  # whole services, started from scratch
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("module", ["monitor", "producer.clock"])
async def test_no_process_of_another_service_shows_it(guarded: str, tmp_path: Path, module: str) -> None:
    actions = tmp_path / "actions"
    actions.write_text(ACTIONS)
    settings = {
        "REDIS_URL": guarded, "PIPELINE_PASSWORD_FILE": holding(tmp_path, ADDRESS),
        "PIPELINE_MONITOR_PASSWORD_FILE": str(actions), "PIPELINE_MONITOR_PORT": "0",
    }  # fmt: skip
    with started(module, ROOT, **settings) as service:
        ready = "the page is served" if module == "monitor" else "clock runs"
        said = await asyncio.to_thread(wait_for, service, ready)
        for pid in processes_of(service.pid):
            in_none_of(shown_of(pid, "cmdline"), shown_of(pid, "environ"))
        service.terminate()
        in_none_of(*said, await asyncio.to_thread(service.communicate, None, 60))


async def test_no_command_with_a_password_in_a_file_says_it(guarded: str, tmp_path: Path) -> None:
    for word, code in ((ADDRESS, 0), (f"{ADDRESS}-wrong", 2), (ADDRESS.encode() + b"\xff", 2)):
        variables = environment(REDIS_URL=guarded, PIPELINE_PASSWORD_FILE=holding(tmp_path, word))
        done = await asyncio.to_thread(command, ("queue", "list"), variables)
        assert done.returncode == code, done
        in_none_of(done.stdout, done.stderr)
