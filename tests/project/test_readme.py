"""The README and docs/ tell the truth: their examples run, and what they name is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.concurrency.locks.leases.keys import BARRIER_KEYS, CONDITION_KEYS, EVENT_KEYS, LEASE_KEYS, RATE_KEYS
from shared.concurrency.queues.membership.keys import LEASED, QUEUE_KEYS
from shared.environment import Environment
from shared.local.parent_death import tied
from shared.variables import secret_fields
from tests.instruments.application import DEMO
from tests.instruments.command_line import environment
from tests.instruments.lines import PROGRAMS, blocks

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
README = TEXTS[ROOT / "README.md"]
HANDLERS = TEXTS[ROOT / "docs" / "handlers.md"]
SETTINGS = TEXTS[ROOT / "docs" / "settings.md"]
DEMO_PAGE = ROOT / "docs" / "demo.md"
MOST_WORDS = 1200


USAGE, MESSAGE_CLASS, HANDLER, PUT = blocks(README)
TRIAL = blocks(HANDLERS)[-1]


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_the_example_runs(url: str, name: str) -> None:
    assert '"redis://localhost:6379/0"' in USAGE
    assert '"numbers"' in USAGE
    code = USAGE.replace("redis://localhost:6379/0", url).replace('"numbers"', repr(name))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    assert first == "7"
    assert [line.split()[1] for line in others] == ["7", "7", "8", *(str(number) for number in range(1000))]


def test_no_page_has_an_example_that_nobody_runs() -> None:
    # test_programs.py runs programs, test_tutorial.py the tutorial; test_from_arq.py, test_examples.py and
    # tests/consumer/test_messages_that_change.py
    # test_around.py, and tests/blocking/test_places.py run the others.
    assert {page.name for page, text in TEXTS.items() if "```" in text} == {
        *("README.md", "from-arq.md", "from-asyncio.md", "handlers.md", "messages-that-change.md", "synchronous.md",
          "tutorial.md"),
        *PROGRAMS,
    }  # fmt: skip
    assert HANDLERS.count("```") == 2 * len(blocks(HANDLERS))
    assert README.count("```") == 2 * len(blocks(README))


@pytest.mark.slow
def test_adding_a_job_takes_the_three_steps(copy: Path, url: str, name: str) -> None:
    for step, file in ((MESSAGE_CLASS, "shared/messages.py"), (HANDLER, "consumer/handlers.py")):
        with (copy / file).open("a", encoding="utf-8") as source:
            source.write(f"\n\n{step}")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIPELINE_", "REDIS_"))}
    settings = {**kept, "PYTHONPATH": str(copy), "PYTHONUNBUFFERED": "1", "REDIS_URL": url, "PIPELINE_QUEUE": name}
    subprocess.run([sys.executable, "-W", "error", "-c", PUT], cwd=copy, env=settings, check=True, timeout=120)
    with subprocess.Popen(
        [sys.executable, "-m", "consumer"],
        cwd=copy, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        preexec_fn=tied(),  # noqa: PLW1509
    ) as consumer:  # fmt: skip
        assert consumer.stdout is not None
        try:
            assert consumer.stdout.readline() == "a.png 300\n"
        finally:
            consumer.terminate()
    # Its handler is tried alone as the page says.
    trial = f"{TRIAL}\n\nimport asyncio\n\nasyncio.run(test_a_picture_is_counted())\nprint('tried')\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", trial], cwd=copy, env=settings, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("a.png 300\ntried\n", "")


def test_a_chain_is_tried_without_a_server_as_the_page_says(copy: Path) -> None:
    (code,) = [block for block in blocks(HANDLERS) if "run_inline" in block]
    for step, file in ((MESSAGE_CLASS, "shared/messages.py"), (HANDLER, "consumer/handlers.py")):
        with (copy / file).open("a", encoding="utf-8") as source:
            source.write(f"\n\n{step}")
    code += "\n\nimport asyncio\n\nasyncio.run(test_pictures())\nprint('tried')\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment(PYTHONPATH=str(copy)), cwd=copy, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "tried"


def test_every_command_and_option_is_there() -> None:
    helps = {
        "./run": run("help"),
        **{f"./run {word}": run(word, "--help") for word in ("server", "pipeline", "simulate")},
    }
    for page, text in TEXTS.items():
        for word in re.findall(r"\./run ([a-z]+)", text):
            assert re.search(rf"^  {word}\b", helps["./run"], flags=re.MULTILINE), (page.name, word)
        for command, options in re.findall(r"(\./run (?!demo)\w+)((?: (?:--?\w[\w-]*|\d+))+)", text):
            for option in re.findall(r"--[\w-]+", options):
                assert option in helps.get(command, helps["./run"]), (page.name, command, option)


def run(*words: str) -> str:
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [ROOT / "run", *words], capture_output=True, text=True, check=True, timeout=120, env=wide
    ).stdout


def described_settings() -> dict[str, str]:
    """The settings in the tables of docs/settings.md and docs/demo.md, and the default of each."""
    text = SETTINGS + TEXTS.get(DEMO_PAGE, "")
    rows = re.findall(r"^\| `((?:PIPELINE|REDIS)_\w+)` \| `?([^`|]*?)`? ?\|", text, flags=re.MULTILINE)
    described = {variable.removeprefix("PIPELINE_").lower(): default for variable, default in rows}
    assert len(described) == len(rows)
    return described


def check_defaults(kind: type[Environment], described: dict[str, str], fields: set[str]) -> None:
    for field in fields:
        real = kind.model_fields[field].default
        assert described[field] == ("" if real is None else str(real)), field


def test_the_table_of_settings_is_complete_and_right() -> None:
    check_defaults(Environment, described_settings(), set(Environment.model_fields))


def test_every_variable_named_is_there() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    told = described_settings().keys() | {f"{field}_file" for field in secret_fields(Environment)}
    for page, text in TEXTS.items():
        for variable in re.findall(r"\bPIPELINE_[A-Z_]*[A-Z]\b", text):
            assert variable.removeprefix("PIPELINE_").lower() in told, (page.name, variable)
        for variable in re.findall(
            r"\b(?:REDIS_(?:IMAGE|MAXMEMORY)|LOG_MAX_[A-Z]+|CONSUMER_[A-Z]+|STOP_[A-Z_]+)\b", text
        ):
            assert "${" + variable in compose, (page.name, variable)


def test_compose_passes_every_setting_on() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    told = {"REDIS_URL" if field == "redis_url" else f"PIPELINE_{field.upper()}" for field in described_settings()}
    passed = re.findall(r"^ +((?:PIPELINE|REDIS)_[A-Z_]+):(.*)$", compose, flags=re.MULTILINE)
    assert {variable for variable, _ in passed} == told
    for variable, value in passed:
        # By its own name, with a default or without.
        assert variable == "REDIS_URL" or not value or value.startswith(f" ${{{variable}:-"), variable


def test_every_link_and_every_file_named_is_there() -> None:
    for page, text in TEXTS.items():
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (page.parent / link).exists(), (page.name, link)
        for path in re.findall(r"`((?:tests|shared|producer|consumer|cli|docs|examples)/[\w./]*)`", text):
            # Those of the demo may be deleted; what the tutorial has its reader write, test_tutorial.py writes.
            if not path.startswith(DEMO) and f"In `{path}`:" not in text:
                assert (ROOT / path).exists(), (page.name, path)


def test_every_test_named_is_there() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    tests = re.findall(r"def (test_\w+)", sources)
    for page, text in TEXTS.items():
        for named in re.findall(r"`(test_\w+)`", text):
            assert named in tests, (page.name, named)
        for rule in re.findall(r"`(test_\w+_)\*`", text):
            assert any(test.startswith(rule) for test in tests), (page.name, rule)


def test_every_key_is_described_as_the_code_describes_it() -> None:
    protocol = TEXTS[ROOT / "docs" / "protocol.md"]
    rows = re.findall(r"^\| `(\S+)` \| `(\w+)` \| (\w+) \| (.*) \|$", protocol, flags=re.MULTILINE)
    leased = LEASED._replace(suffix="leased:SESSION")
    tables = ({**QUEUE_KEYS, "leased": leased}, LEASE_KEYS, EVENT_KEYS, CONDITION_KEYS, BARRIER_KEYS, RATE_KEYS)
    assert rows == [(key.suffix, word, key.kind, key.holds) for keys in tables for word, key in keys.items()]
