"""YOURS: one function for each message class."""

from consumer.registry import handles
from shared.concurrency import Delivery
from shared.demo.word_counts import WordCounts, count_words
from shared.messages import CountWords
from shared.pipeline import Pipeline


@handles(CountWords)
async def count_words_of_part(delivery: Delivery[CountWords], pipeline: Pipeline) -> None:
    """Count with the acknowledgement: each message once, whatever is killed."""
    dictionary = await pipeline.resources.stop_words.read()
    counts = WordCounts(pipeline.redis, pipeline.settings.queue, delivery.item.run)
    counts.add(delivery.effects, count_words(delivery.item.text), dictionary)
