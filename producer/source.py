"""YOURS: where messages come from. The producer service puts what `messages` yields."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from producer.share import Share
from shared.demo.source import walks
from shared.message import Message
from shared.pipeline import Pipeline


async def messages(pipeline: Pipeline, share: Share) -> AsyncGenerator[Message, None]:
    """Yield messages until there are no more. It goes on as room appears, and is closed when the producer drains.

    `share`: the part that this producer has claimed, of PIPELINE_SHARES; a source that has no parts leaves it out.
    """
    async with aclosing(walks(pipeline.settings, pipeline.redis, pipeline.owner, (share.index, share.count))) as found:
        async for message in found:
            yield message
