"""YOURS: one function for each message class."""

from consumer.registry import handles
from shared.concurrency import Delivery
from shared.messages import CountWords
from shared.pipeline import Pipeline
from shared.word_counts import WordCounts, count_words


@handles(CountWords)
async def count_words_of_part(delivery: Delivery[CountWords], pipeline: Pipeline) -> None:
    """Store the counts under the message's id: a second delivery writes over them."""
    stop_words = await pipeline.stop_words.read()
    counts = WordCounts(pipeline.redis, pipeline.settings.queue, delivery.item.run)
    await counts.store(delivery.id, count_words(delivery.item.text), stop_words)
