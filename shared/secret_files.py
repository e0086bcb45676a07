"""Secrets in files: what a setting holds may stand in the file that PIPELINE_<FIELD>_FILE names."""

from pathlib import Path
from typing import Final

_LONGEST: Final = 65_536


def read_secret(path: Path) -> str:
    """What stands in a file, without line breaks at its end.

    :raises ValueError: when it cannot be read, is empty or no text; without the file's name and what it holds.
    """
    problem = text = ""
    try:
        with path.open("rb") as opened:
            text = opened.read(_LONGEST + 1).decode("utf-8").rstrip("\r\n")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:  # it may repeat what it has read
        problem = "cannot be read: it is no text in UTF-8"
    if problem:
        raise ValueError(problem)
    if not text:
        raise ValueError("is empty")
    if len(text) > _LONGEST:
        raise ValueError(f"has more than {_LONGEST:,} characters")
    return text
