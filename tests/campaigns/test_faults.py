"""What a campaign says of its faults: a strike lasts as long as what it has done."""

import asyncio
import random
from pathlib import Path

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.campaigns.faults.faults import cuts
from tests.campaigns.faults.scene import Scene
from tests.campaigns.fleet import Fleet
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until


class Swallowing(random.Random):
    """Chooses the swallowing of all that is sent, always."""

    def randrange(self, *_: object) -> int:
        return 1


async def test_a_connection_that_swallows_is_a_strike_until_it_is_noticed(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    async with Proxy(server.url, tmp_path) as proxy, Session.open(proxy.url, ttl=1.0) as session:
        queue = Queue(session, "q", int)
        await queue.put(1)
        scene = Scene(Fleet.__new__(Fleet), server, proxy, Swallowing(), 0.1)
        cutting = asyncio.create_task(cuts(scene))

        async def words() -> list[str]:
            return [strike.word for strike in scene.strikes]

        await until(words, lambda seen: len(seen) >= 1)
        assert proxy.swallows
        await queue.put(2)  # by another connection: the first one has said nothing for too long
        await until(words, lambda seen: len(seen) >= 2)
        cutting.cancel()
        await asyncio.wait({cutting})
        struck, swallowing = scene.strikes[:2]
        assert (struck.word, swallowing.word) == ("cuts", "swallowing")
        assert swallowing.ended - struck.began > 0.3e9
        assert scene.healed[0] == struck.ended
