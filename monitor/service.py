"""The monitor: a service that shows the cluster in a browser. `python -m monitor` runs it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from monitor.feed import open_feed
from monitor.link import open_link
from monitor.page.access import Access
from monitor.page.actions import Actions
from monitor.page.web import Web
from monitor.probes import Probes
from shared.environment import SettingsError, resolve_redis_url
from shared.health.answers import answering
from shared.logs import Log
from shared.password_file import password_of
from shared.settings import Settings

log = Log("monitor")

_SAME_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what a browser on this host calls it
_LAST_WORDS = 3
"""Seconds for which requests that are under way are waited for at the end."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the service."""
        yield


async def work(settings: Settings, stopping: asyncio.Event) -> None:
    """Serve the page until `stopping`; wait through outages of the server.

    :raises SettingsError: when the address cannot be listened at.
    """
    with contextlib.closing(_listening(settings.monitor_host, settings.monitor_port)) as listening:
        url, server_password = resolve_redis_url(settings), password_of(settings)
        async with open_link(url, server_password) as link, open_feed(link) as feed:
            probes, password = Probes(feed, stopping), settings.monitor_password
            access = None if password is None else Access(password.get_secret_value())
            actions = None if access is None else Actions(feed, access, url, server_password)
            names = frozenset(word.strip().lower() for word in settings.monitor_names.split(",") if word.strip())
            server = _Server(
                uvicorn.Config(
                    Web(feed, probes, actions, settings.queue).application(names),
                    log_config=None, access_log=False, lifespan="off", server_header=False, proxy_headers=False,
                    timeout_graceful_shutdown=_LAST_WORDS, log_level="warning",
                )
            )  # fmt: skip
            serving = asyncio.create_task(server.serve(sockets=[listening]), name="weir-web")
            stopped = asyncio.create_task(stopping.wait(), name="weir-stopping")
            try:
                host, port = listening.getsockname()[:2]
                host = _SAME_HOST.get(host, host)
                shown = f"[{host}]" if ":" in host else host
                log.info(
                    "the page is served", address=f"http://{shown}:{port}/", port=port, actions=actions is not None
                )
                async with answering("monitor", probes.problem):
                    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                feed.close()
                server.should_exit = True
                stopped.cancel()
                await asyncio.wait({serving, stopped})
            serving.result()
    log.info("the monitor is stopped")


def _listening(host: str, port: int) -> socket.socket:
    try:
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=kind, backlog=128)
    except OSError as error:
        text = f"PIPELINE_MONITOR_HOST, PIPELINE_MONITOR_PORT: cannot listen at {host} port {port}: {error.strerror}"
        raise SettingsError(text) from None
    return listening
