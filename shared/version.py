"""The version of this project, as pyproject.toml has it: a container has no pyproject.toml."""

from typing import Final

VERSION: Final = "1.0.0"
