"""What the gauges see of a server, and what they leave out."""

from pathlib import Path

from redis.asyncio import Redis

from shared.local.embedded import EmbeddedServer
from tests.campaigns.gauges import KEYS, Gauges
from tests.campaigns.record import done_key
from tests.instruments.waiting import until


async def test_a_key_that_nobody_takes_away_is_seen_and_the_record_of_the_campaign_is_none(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    async with Redis.from_url(server.url) as client:
        gauges = Gauges(client, "q", dict, tmp_path)

        async def looks() -> list[float]:
            return [figure for _, figure in gauges.samples.get(KEYS, ())]

        async with gauges.watching():
            assert (await until(looks, bool))[-1] == 0
            for number in range(20):
                await client.set(done_key("q", number), "1")
            await client.set("{q}:left", "1")
            assert (await until(looks, lambda seen: seen[-1] > 0))[-1] == 1
