"""The variables that settings are read from: their names, those that nobody knows, and secrets that stand in files."""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, SecretStr

from shared.secret_files import read_secret
from shared.service_links import service_links

PREFIX: Final = "PIPELINE_"
_FILE: Final = "_FILE"


def variable_of(field: str) -> str:
    """The environment variable that a field is read from."""
    return "REDIS_URL" if field.lower() == "redis_url" else PREFIX + field.upper()


def unknown_variables(kind: type[BaseModel]) -> list[str]:
    """A line for every PIPELINE_ variable that no field reads, with a known one that is like it, if there is one."""
    known = [field.upper() for field in kind.model_fields]
    known += [field.upper() + _FILE for field in secret_fields(kind)]
    problems = []
    for variable in sorted(os.environ.keys() - service_links(os.environ)):
        name = variable.upper().removeprefix(PREFIX)
        is_known = name in known and not name.startswith("REDIS_URL")
        if not variable.upper().startswith(PREFIX) or is_known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.65)
        advice = (
            f"did you mean {_named(near[0])}?"
            if near
            else "docs/settings.md lists them, and so does ./run consumer --help"
        )
        problems.append(f"{variable}: no such setting; {advice}")
    return problems


def secrets_in_files(kind: type[BaseModel]) -> tuple[dict[str, Any], list[str]]:
    """What stands in the files that variables like PIPELINE_MONITOR_PASSWORD_FILE name, by field, and what is wrong."""
    there = {variable.upper(): value for variable, value in os.environ.items() if value}
    found, problems = dict[str, Any](), list[str]()
    for field in secret_fields(kind):
        variable = variable_of(field)
        if (path := there.get(variable + _FILE)) is None:
            continue
        if variable in there:
            problems.append(f"{variable}{_FILE}: {variable} is set, too: leave one of them out")
            continue
        try:
            found[field] = read_secret(Path(path))
        except ValueError as error:
            problems.append(f"{variable}{_FILE}: {error}")
    return found, problems


def secret_fields(kind: type[BaseModel]) -> Iterator[str]:
    """The fields whose text is a secret, but for one whose `_file` is a field of its own."""
    for name, field in kind.model_fields.items():
        if _is_secret(field.annotation) and name + _FILE.lower() not in kind.model_fields:
            yield name


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))


def _named(name: str) -> str:
    return name if name.startswith("REDIS_URL") else PREFIX + name
