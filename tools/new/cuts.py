"""Cuts: what of the template a project does not have, and what it has in its own words."""

from pathlib import Path
from typing import Final

from tools.new.mistake import Mistake

_HERE: Final = Path(__file__).resolve().parent

_TEMPLATES_OWN: Final = (
    "CHANGELOG.md", "README.zh-CN.md", "RELIABILITY.md", "benchmarks/", "docs/performance.md", "docs/performance/", "docs/assets/", "tools/new/",
    "tools/peers.py", "tools/publish.py", "docs/mutants.md", "tests/mutants/",
    "tests/project/test_bench_compare.py", "tests/project/test_bench_extras.py", "tests/project/test_growth.py",
    "tests/project/test_benchmark_report.py", "tests/project/test_benchmarks.py",
    "tests/project/test_lines.py", "tests/project/test_new_project.py", "tests/project/test_new_update.py",
    "tests/project/test_readme.py", "tests/project/test_steps.py", "tests/project/test_translation.py",
    "tests/project/test_tutorial.py",
    "tests/project/test_without_demo.py",
)  # fmt: skip
_OF_THE_DEMO: Final = ("shared/demo/", "cli/demo/", "tests/demo/", "docs/demo.md", "docs/schema/")
_README_OF_THE_DEMO: Final = ("tests/demo/test_page.py",)
"""They read the pages of the template by what its README needs of them."""

_YOURS: Final = {
    "shared/messages.py": "yours/messages.txt",
    "shared/settings.py": "yours/settings.txt",
    "shared/resources.py": "yours/resources.txt",
    "consumer/handlers.py": "yours/handlers.txt",
    "producer/source.py": "yours/source.txt",
    "producer/schedule.py": "yours/schedule.txt",
    "docs/schema/Greet.json": "job/greet_schema.txt",
    "docs/schema/asyncapi.json": "job/asyncapi.txt",
    "tests/job/__init__.py": "job/tests.txt",
    "tests/job/test_greet.py": "job/test_greet.txt",
}
"""File of a project -> what is written there, in this folder."""


def is_cut(path: str, *, example: bool) -> bool:
    """Whether a project has no such file; `example`: it keeps the word count."""
    cut = (*_TEMPLATES_OWN, *(_README_OF_THE_DEMO if example else _OF_THE_DEMO))
    return any(path == word or (word.endswith("/") and path.startswith(word)) for word in cut)


def own_files(name: str, version: str, *, example: bool) -> dict[str, str]:
    """The files that a project has in its own words, by their path."""
    templates = {"README.md": "job/readme_example.txt"} if example else {"README.md": "job/readme.txt", **_YOURS}
    templates["shared/version.py"] = "yours/version.txt"
    return {
        path: (_HERE / template).read_text(encoding="utf-8").replace("$NAME", name).replace("$VERSION", version)
        for path, template in templates.items()
    }


def without(text: str, first: str, last: str, where: str) -> str:
    """A text without the lines from one that begins so to the next that begins so, both included.

    :raises Mistake: when there are none: the template has changed, and this file has to follow.
    """
    lines = text.splitlines(keepends=True)
    for at, line in enumerate(lines):
        if line.startswith(first):
            for end in range(at, len(lines)):
                if lines[end].startswith(last):
                    return "".join([*lines[:at], *lines[end + 1 :]])
    raise Mistake(f"the template's {where} has no lines from {first!r} to {last!r}: tools/new does not fit it")
