"""The mutants themselves: each fits the code and names what finds it, and a few are seeded and found."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from shared.concurrency.session import scripts
from tests.mutants import __main__ as command
from tests.mutants.mutant import ROOT, GoneError, Mutant, mutants
from tests.mutants.project_copy import ProjectCopy
from tests.mutants.trial import Pace, Trial
from tests.simulation.__main__ import WORKLOADS

FEW = ("bound-of-pending-alone", "renew-resurrects", "a-late-put-runs", "no-margin", "acks-are-taken-on-trust")
"""Of several rooms, each found within three seconds."""
FEWEST = 200


def applied(mutant: Mutant) -> str:
    return mutant.applied_to((ROOT / mutant.file).read_text(encoding="utf-8"))


def seeded(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.mutants", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip


def test_each_fits_the_code_as_it_is() -> None:
    assert len(mutants()) >= FEWEST
    for mutant in mutants().values():
        text = applied(mutant)
        assert text != (ROOT / mutant.file).read_text(encoding="utf-8"), mutant.name
        if mutant.file.endswith(".py"):
            compile(text, mutant.file, "exec")
        assert re.fullmatch(r"[a-z0-9-]{5,60}", mutant.name), mutant.name
        assert "|" not in mutant.breaks, mutant.name


def test_each_script_with_a_mutant_is_one_that_the_server_takes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with redis.Redis.from_url(url) as client:
        for mutant in mutants().values():
            path = Path(mutant.file)
            if path.suffix == ".lua":
                places = scripts._PARTS if "parts" in path.parts else scripts._SCRIPTS
                with monkeypatch.context() as patch:
                    patch.setitem(places, path.stem, applied(mutant))
                    for script in _with(path.stem, is_part=places is scripts._PARTS):
                        client.script_load(script.source)


def _with(name: str, *, is_part: bool) -> list[scripts.Script]:
    """A script that a file is in, of both sets, made anew."""
    make = scripts.load.__wrapped__
    if is_part:
        name = next(script.name for script in scripts.scripts() if name in script.parts)
    return [make(name, flow=flow) for flow in (False, True)]


def test_each_names_a_test_that_is_there_or_a_workload() -> None:
    for mutant in mutants().values():
        if mutant.by.startswith("simulate "):
            workload, seed, *count = mutant.by.split()[1:]
            assert workload in WORKLOADS, mutant.name
            assert all(word.isdigit() for word in (seed, *count)), mutant.name
            continue
        file, _, test = mutant.by.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"def {test.partition('[')[0]}\(", text), f"{mutant.name}: {mutant.by}"


def test_they_come_from_all_rooms() -> None:
    rooms = {mutant.file.rpartition("/")[0] for mutant in mutants().values()}
    for room in (
        "shared/concurrency/lua/messages", "shared/concurrency/lua/sessions", "shared/concurrency/lua/locks",
        "shared/concurrency/lua/parts/leaving", "shared/concurrency/lua/parts/order",
        "shared/concurrency/lua/parts/effects", "shared/concurrency/session", "shared/concurrency/queues/puts",
        "shared/concurrency/queues/takes", "shared/concurrency/queues/effects", "shared/concurrency/queues/results",
        "shared/concurrency/queues/membership", "shared/concurrency/locks/leases", "shared/local", "shared/clock",
        "consumer/worker", "producer/clock", "monitor/page", "cli", "shared",
    ):  # fmt: skip
        assert room in rooms, room


def test_one_whose_place_is_gone_says_so() -> None:
    mutant = Mutant("a-test", "nothing", "run", "there is no such line", "", "tests/x.py::test_x")
    with pytest.raises(GoneError, match="a-test: run holds its place 0 times"):
        applied(mutant)


@pytest.mark.parametrize("arguments", [["no-such-mutant"], ["--at-once", "0"]])
def test_a_mistake_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.alone
@pytest.mark.slow
def test_a_few_are_found_and_the_working_tree_stays_as_it_is() -> None:
    before = {mutants()[name].file: (ROOT / mutants()[name].file).read_bytes() for name in FEW}
    done = seeded(*FEW)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:] if line.startswith("| ")]
    assert [row[0].removeprefix("| ") for row in rows] == list(FEW)
    assert all(len(row) == 5 for row in rows)
    assert re.search(rf"^{len(FEW)} mutants in \d+ s: all found$", done.stdout, flags=re.MULTILINE)
    assert before == {file: (ROOT / file).read_bytes() for file in before}


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(ProjectCopy(tmp_path), tmp_path / "notes", Pace())


@pytest.mark.alone
@pytest.mark.slow
def test_a_survivor_and_what_is_no_program_are_no_finds(trial: Trial) -> None:
    by = "tests/queues/test_statistics.py"
    for old, new, fate in (
        ("read once", "read one time", "passed"),  # a comment
        ("local now_us = ", "local now_us = = ", "broken"),
        ("local now_us = ", "local later = ", "broken"),
    ):
        mutant = Mutant("a-test", "", "shared/concurrency/lua/parts/clock.lua", old, new, by)
        assert trial.of(mutant).fate == fate, (old, new)
    for new, fate in (("import nothing_of_that_name\n", "broken"), ("assert True\n", "passed")):
        mutant = Mutant("a-test", "", "shared/concurrency/session/clock.py", "import time\n", f"import time\n{new}", by)
        assert trial.of(mutant).fate == fate, new
    assert trial.run(["simulate queues 1"]).fate == "passed"
    assert trial.run([by]).fate == "passed"


@pytest.mark.alone
@pytest.mark.slow
def test_a_survivor_ends_the_command_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    harmless = Mutant(
        "harmless", "nothing", "shared/concurrency/lua/parts/clock.lua", "read once", "read one time",
        "tests/queues/test_statistics.py",
    )  # fmt: skip
    monkeypatch.setattr(command, "mutants", lambda: {"harmless": harmless})
    assert command.main([]) == 1
    said = capsys.readouterr().out
    assert "**SURVIVED**" in said
    assert "SURVIVED: harmless by tests/queues/test_statistics.py" in said
