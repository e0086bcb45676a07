"""YOURS: where messages come from. The producer service puts what `messages` yields."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from shared.demo.source import walks
from shared.message import Message
from shared.pipeline import Pipeline


async def messages(pipeline: Pipeline) -> AsyncGenerator[Message, None]:
    """Yield messages until there are no more. It goes on as room appears, and is closed when the producer drains."""
    async with aclosing(walks(pipeline.settings, pipeline.redis, pipeline.owner)) as found:
        async for message in found:
            yield message
