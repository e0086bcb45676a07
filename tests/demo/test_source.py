"""The demo's source: nothing is lost between the parts of a text, and no word is cut."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.demo.settings import WordCountSettings
from shared.demo.source import MOST_BYTES, MOST_LINES, MOST_WORDS, parts, source_files, walk
from shared.demo.word_counts import WORD, count_words

LINES = st.lists(st.text(max_size=40).map(lambda text: text + "\n"), max_size=700).map("".join)


@given(LINES)
def test_the_parts_are_the_text_and_no_word_is_cut(text: str) -> None:
    check(text)


@settings(deadline=None, max_examples=30)  # a few hundred kilobytes each
@given(st.lists(st.text("aäß1_ \x00"), max_size=9), st.integers(1, 4000))
def test_long_lines_are_cut_between_words(words: list[str], times: int) -> None:
    check(" ".join(words) * times)


def check(text: str) -> None:
    cut = list(parts(text))
    assert "".join(cut) == text
    longest = max(map(len, WORD.findall(text)), default=0)
    for part in cut:
        assert len(part.splitlines()) <= MOST_LINES
        assert len(part.encode()) <= MOST_BYTES or longest > MOST_BYTES // 2
        assert sum(count_words(part).values()) <= MOST_WORDS
    assert sum((count_words(part) for part in cut), count_words("")) == count_words(text)
    for part, following in pairwise(cut):  # none is smaller than it has to be; a character takes six bytes at most
        more = part + following.splitlines(keepends=True)[0]
        is_full = len(more.splitlines()) > MOST_LINES or sum(count_words(more).values()) > MOST_WORDS
        assert is_full or len(more.encode()) * 6 > MOST_BYTES


@pytest.mark.parametrize("size", [MOST_BYTES - 1, MOST_BYTES, MOST_BYTES + 1, 3 * MOST_BYTES])
def test_one_word_longer_than_a_part_stays_whole(size: int) -> None:
    text = f"before {'ä' * (size // 2)} behind\nand {'b' * size}"
    cut = list(parts(text))
    assert "".join(cut) == text
    assert sum((count_words(part) for part in cut), count_words("")) == count_words(text)


def test_an_empty_text_has_no_parts() -> None:
    assert list(parts("")) == []


def test_the_files_are_regular_and_sorted(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "c.txt", "sub/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("word")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    root, files = source_files(WordCountSettings(source_path=tmp_path))
    assert [path.relative_to(root).as_posix() for path in files] == ["a.py", "b.py", "sub/d.py"]


def test_without_a_path_it_is_the_standard_library_without_what_is_installed() -> None:
    _, files = source_files(WordCountSettings())
    assert any(path.name == "asyncio" or path.parent.name == "asyncio" for path in files)
    assert not any("site-packages" in path.parts for path in files)


async def test_shares_of_the_files_are_the_whole(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.py").write_text(f"word{'x' * number}\n" * 250)
    found: list[tuple[str, int]] = []
    for index in range(3):
        share = walk(WordCountSettings(source_path=tmp_path), "run", (index, 3))
        found += [(message.file, message.part) async for message in share]
    assert sorted(found) == [(f"{number}.py", part) for number in range(7) for part in range(2)]


async def test_bytes_that_are_no_utf_8_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"gr\xf6\xdfe\n")
    (message,) = [message async for message in walk(WordCountSettings(source_path=tmp_path), "run")]
    assert message.text == "gr��e\n"
