"""The settings of the word count: what is counted, by whom, how often, and under which name."""

from pathlib import Path, PurePath
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from shared.environment import Bound, Environment, not_empty, plain_name


def _pattern(value: str) -> str:
    if not value.strip() or PurePath(value).is_absolute() or ".." in PurePath(value).parts:
        raise ValueError("must be a pattern below PIPELINE_SOURCE_PATH, for example **/*.py")
    return value


class WordCountSettings(Environment):
    """What the word count can be set to, beside what any pipeline can."""

    maxsize: Bound = 100
    """As everywhere, but with a bound from the beginning: the demo shows what it does."""

    source_path: Annotated[Path | None, BeforeValidator(not_empty)] = None
    """The directory tree to count; without it the standard library of the running Python."""

    source_glob: Annotated[str, AfterValidator(_pattern)] = "**/*.py"
    """Which of its files."""

    share_index: int = Field(0, ge=0)
    """This producer takes the files whose number, divided by `share_count`, leaves this rest."""

    share_count: int = Field(1, ge=1, le=1000)
    """Producers that share the files."""

    passes: int = Field(1, ge=0)
    """How often the producer walks the tree; 0 for again and again."""

    run: Annotated[str, AfterValidator(lambda value: value and plain_name(value))] = ""
    """The name under which this run's counts are stored."""

    @model_validator(mode="after")
    def _one_of_the_shares(self) -> Self:
        if self.share_index >= self.share_count:
            raise ValueError("PIPELINE_SHARE_INDEX must be below PIPELINE_SHARE_COUNT (it counts from 0)")
        return self
