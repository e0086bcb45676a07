"""YOURS: the version of the project, the one place that says it: a container has no pyproject.toml."""

from typing import Final

VERSION: Final = "1.0.0"
