"""README's three steps for a job of one's own, followed to the letter in a copy: check and tests stay green."""

import sys
from pathlib import Path

import pytest

from tests.instruments.lines import ROOT, blocks
from tests.instruments.new_project import template, typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_, MESSAGE_CLASS, HANDLER, _ = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
TRIAL = blocks((ROOT / "docs" / "handlers.md").read_text(encoding="utf-8"))[-1]
OF_THE_JOB = ("tests/test_pictures.py", "tests/demo", "tests/cli/test_schema.py", "tests/project/test_imports.py")
"""The tests that look at YOURS files, and the one that the page writes."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The template with the steps of the page, as a reader would type them."""
    copy = template(tmp_path / "weir")
    (copy / ".venv").symlink_to(sys.prefix)
    for step, file in ((MESSAGE_CLASS, "shared/messages.py"), (HANDLER, "consumer/handlers.py")):
        with (copy / file).open("a", encoding="utf-8") as source:
            source.write(f"\n\n{step}")
    (copy / "tests" / "test_pictures.py").write_text(TRIAL, encoding="utf-8")
    producer = copy / "producer" / "source.py"
    text = producer.read_text(encoding="utf-8")
    put = '    yield ResizePicture(path="a.png", width=300)\n'
    assert "yield ResizePicture(" in (ROOT / "README.md").read_text(encoding="utf-8")
    producer.write_text(f"{text}{put}".replace('"""\n\n', '"""\n\nfrom shared.messages import ResizePicture\n', 1))
    return copy


def test_the_three_steps_leave_check_and_tests_green(copy: Path) -> None:
    # What checks the schema says what writes it; nothing else is left to do.
    said = typed(copy, "./run", "check", seconds=500)
    assert "ResizePicture: new; call ./run pipeline schema" in said
    typed(copy, "./run", "pipeline", "schema")
    assert "call ./run" not in typed(copy, "./run", "check", seconds=500)
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *OF_THE_JOB]
    assert " passed" in typed(copy, *tests, seconds=500)
    assert not [line for line in typed(copy, "ls", "docs/schema").splitlines() if line not in SCHEMAS]


SCHEMAS = {"CountWords.json", "ResizePicture.json", "asyncapi.json"}


def test_in_files_that_are_yours_taste_is_not_linted_and_mistakes_are(copy: Path) -> None:
    with (copy / "consumer" / "handlers.py").open("a", encoding="utf-8") as source:
        source.write("\n\ndef later():\n    # TODO: count\n    import json\n\n    print(json.dumps(1))\n")
    typed(copy, sys.executable, "-m", "ruff", "check", "--no-cache", "consumer", "shared", "producer")
    with (copy / "consumer" / "handlers.py").open("a", encoding="utf-8") as source:
        source.write("\n\ndef wrong():\n    return undefined_name\n")
    said = typed(copy, sys.executable, "-m", "ruff", "check", "--no-cache", "consumer", code=1)
    assert "F821" in said
