"""The source of the word count: the files of a directory tree, cut into parts, again and again."""

import asyncio
import itertools
import re
import sysconfig
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from shared.demo.messages import CountWords
from shared.demo.settings import WordCountSettings
from shared.demo.word_counts import WORD, WordCounts, words_in
from shared.logs import Log
from shared.service import ServiceError

log = Log("producer")

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})

MOST_LINES: Final = 200
MOST_BYTES: Final = 64 * 1024
MOST_WORDS: Final = 2000
"""One acknowledgement counts them all, and what it may write is bounded."""

# No line of so many bytes has more words than a part may have.
_PIECE_BYTES: Final = 2 * MOST_WORDS

# JSON writes each of these in six bytes; other characters at most double, and none in more.
_MOST_EACH: Final = 6
_COSTLY: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")


async def walks(
    settings: WordCountSettings, client: "redis.asyncio.Redis", owner: str, share: tuple[int, int]
) -> AsyncGenerator[CountWords, None]:
    """The messages of as many walks through the tree as the settings say. Each walk is a run of its own.

    `owner`: the name of the runs, where the settings give none. `share`: which of how many. Where the walks have no
    end, the counts of old runs are deleted.

    :raises ServiceError: when there is nothing to count.
    """
    base = settings.run or owner
    for number in itertools.count(1) if settings.passes == 0 else range(1, settings.passes + 1):
        run = base if settings.passes == 1 else f"{base}-{number}"
        count = 0
        async with aclosing(walk(settings, run, share)) as found:
            async for message in found:
                count += 1
                yield message
        log.info("one pass is done", run=run, messages=count)
        if settings.passes == 0 and number > 2:
            # Nobody will ask for it, and the server's memory is not endless.
            await _delete(WordCounts(client, settings.queue, f"{base}-{number - 2}"))


async def _delete(counts: WordCounts) -> None:
    try:
        await counts.delete()
    except RedisError as error:  # they expire
        log.warning("the counts of an old run stay", problem=str(error))


async def walk(
    settings: WordCountSettings, run: str, share: tuple[int, int] = (0, 1)
) -> AsyncGenerator[CountWords, None]:
    """The messages of one walk through the tree; `run` names the walk, `share` says which part of it.

    :raises ServiceError: when there is nothing to count.
    """
    index, count = share
    root, files = _found(settings)
    for path in files[index::count]:
        try:
            text = (await asyncio.to_thread(path.read_bytes)).decode("utf-8", errors="replace")
        except OSError as error:
            log.warning("a file cannot be read and is left out", file=str(path), problem=error.strerror)
            continue
        for number, part in enumerate(parts(text)):
            yield CountWords(run=run, file=path.relative_to(root).as_posix(), part=number, text=part)


def _found(settings: WordCountSettings) -> tuple[Path, list[Path]]:
    root, files = source_files(settings)
    if not root.is_dir():
        raise ServiceError(f"PIPELINE_SOURCE_PATH: {root} is no directory")
    if not files:
        raise ServiceError(f"no file below {root} matches {settings.source_glob}: see PIPELINE_SOURCE_GLOB")
    return root, files


def source_files(settings: WordCountSettings) -> tuple[Path, list[Path]]:
    """The root of the tree and its regular files, sorted. Without a path: the standard library alone."""
    root = settings.source_path or Path(sysconfig.get_path("stdlib"))
    found: Iterable[Path] = root.glob(settings.source_glob)
    if settings.source_path is None:
        found = (path for path in found if not _INSTALLED & set(path.relative_to(root).parts))
    return root, sorted(path for path in found if path.is_file())


def parts(text: str) -> Iterator[str]:
    """Cut a text into parts of at most 200 lines, 64 KiB and 2,000 words, never inside a word.

    A single word that is longer than that stays whole.
    """
    pieces = (piece for line in text.splitlines(keepends=True) for piece in _pieces(line))
    block: list[str] = []
    while block := [*block, *itertools.islice(pieces, MOST_LINES - len(block))]:
        count = len(block) if _fits(block) else _how_many_fit(block)
        yield "".join(block[:count])
        block = block[count:]


def _fits(pieces: list[str]) -> bool:
    """Whether they are a part together. Most are: only where they might not be, all is measured."""
    length = sum(map(len, pieces))
    if length > MOST_BYTES:  # a character takes a byte at least
        return False
    part = "".join(pieces)
    if length * _MOST_EACH > MOST_BYTES and _size(part) > MOST_BYTES:
        return False
    return length < 2 * MOST_WORDS or len(words_in(part)) <= MOST_WORDS


def _how_many_fit(pieces: list[str]) -> int:
    size = words = 0
    for count, piece in enumerate(pieces):
        size, words = size + _size(piece), words + len(words_in(piece))
        if count and (size > MOST_BYTES or words > MOST_WORDS):
            return count
    return len(pieces)


def _size(text: str) -> int:
    return len(text.encode()) + 5 * len(_COSTLY.findall(text))


def _pieces(line: str) -> Iterator[str]:
    """A line, cut between words where it is long."""
    if len(line) * _MOST_EACH <= _PIECE_BYTES:
        yield line
        return
    at = 0
    while at < len(line):
        window = line[at : at + _PIECE_BYTES]
        cut = at + (len(window) if _size(window) <= _PIECE_BYTES else _fitting(window))
        if word := WORD.match(line, cut):
            # Not inside a word: before it, or, when the word is all there is, behind it.
            start = cut
            while start > at and WORD.match(line, start - 1, start):
                start -= 1
            cut = start if start > at else word.end()
        yield line[at:cut]
        at = cut


def _fitting(line: str) -> int:
    """How many characters of a line fit into a piece; found by halving, for characters differ in size."""
    low, high = 1, min(len(line), _PIECE_BYTES)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(line[:middle]) <= _PIECE_BYTES else (low, middle - 1)
    return low
