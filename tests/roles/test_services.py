"""All services at one server, each as a user of its own: the work is done, and nothing that they tried was refused."""

import http.client
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis

from shared.local.embedded import EmbeddedServer
from tests.instruments.granted import granted, refused
from tests.instruments.page import watching
from tests.instruments.services import running
from tests.instruments.waiting import until

pytestmark = [pytest.mark.usefixtures("command_line"), pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.parametrize("queue", ["jobs", "shop/jobs"])
async def test_each_does_its_work_as_its_user(server: EmbeddedServer, admin: Redis, queue: str) -> None:
    # The application's own keys have the queue's name in braces.
    urls = {
        role: await granted(admin, server.url, role, queue, keys=[f"{{{queue}}}:*"])
        for role in ("producer", "consumer", "clock")
    }
    page = await granted(admin, server.url, "monitor")

    async def done() -> tuple[int, int]:
        filled = await admin.llen(f"{{{queue}}}:filled")  # type: ignore[misc]
        return filled, int(await admin.get(f"{{{queue}}}:ticks") or 0)

    with ExitStack() as stack:
        services = {
            role: stack.enter_context(
                running("producer.clock" if role == "clock" else role, REDIS_URL=url, PIPELINE_QUEUE=queue)
            )
            for role, url in urls.items()
        }
        served = stack.enter_context(watching(page))
        await until(done, lambda seen: seen[0] >= 100 and seen[1] > 0, 90)
        metrics = served.ask("/metrics")
        assert metrics.status == http.client.OK
        said = ""
        for role in ("producer", "clock", "consumer"):
            if role != "producer":  # it ends by itself
                services[role].terminate()
            said += services[role].communicate(60)[1]
            assert services[role].returncode == 0, said
    assert "NOPERM" not in said
    assert await refused(admin) == []
