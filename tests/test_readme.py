"""The README tells the truth: its example runs, its commands and settings are there, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str, url: str, name: str) -> None:
    assert '"redis://localhost:6379/0"' in example
    assert '"numbers"' in example
    code = example.replace("redis://localhost:6379/0", url).replace('"numbers"', repr(name))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=40
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "7"
    assert len(done.stdout.splitlines()) == 1 + 1002


def test_there_is_an_example() -> None:
    assert EXAMPLES


def test_every_command_of_run_is_there() -> None:
    known = subprocess.run([ROOT / "run", "help"], capture_output=True, text=True, check=True).stdout
    commands = set(re.findall(r"\./run ([a-z]+)", "".join(page.read_text(encoding="utf-8") for page in PAGES)))
    assert commands >= {"demo", "test", "check", "server"}
    for command in commands:
        assert re.search(rf"\b{command}\b", known), command


def test_the_table_of_settings_is_complete_and_right() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `?([^`|]*?)`? ?\|", README, flags=re.MULTILINE)
    told = {variable.removeprefix("PIPELINE_").lower(): default for variable, default in rows}
    assert set(told) == set(Settings.model_fields)
    for field, default in told.items():
        real = Settings.model_fields[field].default
        assert default == ("" if real is None else str(real)), field


def test_every_link_leads_to_a_file_and_every_named_test_exists() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (page.parent / link).exists(), link
        for path in re.findall(r"`((?:tests|shared|producer|consumer|cli|docs)/[\w./]*)`", text):
            assert (ROOT / path).exists(), path
        for rule in re.findall(r"`(test_rule_\d+_)\*`", text):
            assert f"def {rule}" in tests, rule
