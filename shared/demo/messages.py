"""The message of the word count."""

from shared.message import Message


class CountWords(Message):
    """Count the words of a part of a file."""

    run: str
    """The run whose counts these are."""

    file: str
    part: int
    """Which part of the file, from 0."""

    text: str
