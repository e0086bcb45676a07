"""The stop words: two keys that agree whoever reads, however often they are rewritten, whoever dies half-way."""

from contextlib import AsyncExitStack

import pytest
import redis.asyncio

from shared.demo.stop_words import StopWords
from tests.demo import dictionaries
from tests.demo.dictionaries import opened
from tests.instruments.processes import running
from tests.instruments.waiting import until


async def test_readers_and_writers_of_several_processes_never_see_two_versions_at_once(url: str, name: str) -> None:
    async with AsyncExitStack() as stack, opened(url, name) as (stop_words, waits):
        await stop_words.begin()
        readers = [await stack.enter_async_context(running(dictionaries.read, url, name, 5)) for _ in range(2)]
        writers = [await stack.enter_async_context(running(dictionaries.rewrite, url, name)) for _ in range(2)]
        for process in readers:
            await process.said("version", 15)
        for process in writers:
            await process.said("wrote", 5)
        waited = await waits.read()
        wrote = [version for process in writers for version in process.reports("wrote")]
    assert waited.torn_reads == 0
    assert 0 < waited.longest_read < 20
    assert 0 < waited.longest_write < 20
    # Each version was written once.
    assert len(wrote) == len(set(wrote))


async def test_there_is_a_first_version_and_beginning_again_changes_nothing(url: str, name: str) -> None:
    async with opened(url, name) as (stop_words, _):
        await stop_words.begin()
        first = await stop_words.read()
        await stop_words.begin()
        assert await stop_words.read() == first
        assert first.version == 1
        assert {"the", "and"} & first.words
        assert await stop_words.rewrite() == 2
        second = await stop_words.read()
        assert second.version == 2
        assert second.words != first.words


async def test_a_reader_that_finds_nothing_begins(url: str, name: str) -> None:
    async with opened(url, name) as (stop_words, waits):
        assert (await stop_words.read()).version == 1
        assert (await waits.read()).torn_reads == 0


# Before the first step nothing has been begun, before the second nothing of it is to be seen.
@pytest.mark.parametrize("step,read,written", [(1, 1, 2), (2, 1, 3), (3, 2, 3), (4, 2, 3)])
async def test_what_a_killed_writer_has_begun_is_finished(
    url: str, name: str, step: int, read: int, written: int
) -> None:
    async with opened(url, name) as (stop_words, waits):
        await stop_words.begin()
        async with running(dictionaries.rewrite_until_step, url, name, step, "KILL") as writer:
            await writer.said("token")
            await writer.ended()
        assert (await stop_words.read()).version == read
        assert await stop_words.rewrite() == written
        assert (await waits.read()).torn_reads == 0


@pytest.mark.parametrize("step", range(1, 5))
async def test_a_writer_that_comes_back_too_late_is_refused_by_its_token(url: str, name: str, step: int) -> None:
    async with opened(url, name) as (stop_words, waits):
        await stop_words.begin()
        async with running(dictionaries.rewrite_until_step, url, name, step, "STOP") as writer:
            await writer.said("token")
            await until(writer.state, "T".__eq__)
            version = await stop_words.rewrite()
            writer.cont()
            assert "larger token" in await writer.said("refused")
        assert (await stop_words.read()).version == version
        assert (await waits.read()).torn_reads == 0


async def test_a_torn_dictionary_is_seen_and_counted(url: str, name: str) -> None:
    async with opened(url, name) as (stop_words, waits), redis.asyncio.Redis.from_url(url) as client:
        await stop_words.begin()
        key = f"{{{name}}}:stop-words:words"
        whole = await client.get(key)
        assert whole is not None

        class Mending(StopWords):
            async def _repair(self) -> None:
                await client.set(key, whole)

        await client.set(key, whole.replace(b'"version": 1', b'"version": 7'))
        stop_words.__class__ = Mending
        assert (await stop_words.read()).version == 1
        assert (await waits.read()).torn_reads == 1
