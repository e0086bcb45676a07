"""The message class of the tests: by a name that no application has, for it is registered beside theirs."""

from shared.message import Message


class Errand(Message):
    """Do what the text says."""

    text: str
    file: str = ""
    """The file that notes who did it."""
    part: int = 0
    """Which order it is."""
