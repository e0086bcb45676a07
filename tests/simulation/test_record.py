"""The record of a simulation: a row for a commit and a set of workloads, which goes on where it was cut off."""

import subprocess
from pathlib import Path

import pytest

from tests.simulation import __main__ as command
from tests.simulation.batches import Batch, run_batches
from tests.simulation.plan import Plan, numbers
from tests.simulation.record import Record, commit_of
from tests.simulation.tally import Tally
from tests.simulation.workloads import WORKLOADS

PAGE = Path(__file__).parent.parent.parent / "docs" / "simulation.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    page = PAGE.read_text(encoding="utf-8")
    head, rule = page[page.index("| commit") :].splitlines()[:2]
    path = tmp_path / "record.md"
    path.write_text(f"# Words\n\n{head}\n{rule}\n", encoding="utf-8")
    return path


def ran(path: Path, commit: str, workloads: str, tally: Tally, each: int) -> None:
    record = Record(path)
    row = record.row(commit, workloads)
    row.each += each
    row.tally.add(tally)
    record.write()


def test_a_row_goes_on_where_it_was_cut_off(file: Path) -> None:
    ran(file, "abcdef012345", "all", Tally(28, 1000, 3600.0), 2)
    ran(file, "abcdef012345", "queues, in storms", Tally(5, 7, 36.0), 5)
    ran(file, "abcdef012345", "all", Tally(14, 500, 1800.0, ["queues 7"]), 1)
    first = int("abcdef0", 16) % 1_000_000 * 1000
    assert file.read_text(encoding="utf-8").splitlines()[:1] + file.read_text(encoding="utf-8").splitlines()[4:] == [
        "# Words",
        f"| abcdef012345 | all | {first} | 3 | 42 | 1500 | 1.50 | queues 7 |",
        f"| abcdef012345 | queues, in storms | {first} | 5 | 5 | 7 | 0.01 | none |",
    ]
    assert Record(file).row("abcdef012345", "all").each == 3
    assert Record(file).row("abcdef012346", "all").each == 0


def test_what_ran_in_storms_has_a_row_of_its_own_which_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[int, int, bool]] = []

    def run(batch: Batch, _seconds: float) -> tuple[Tally, int]:
        begun.append((batch.first - first, batch.count, batch.plan.storm))
        fails = [f"queues {batch.first}"] if batch.plan.storm and batch.first == first else []
        return Tally(batch.count * len(batch.chosen), 10, 36.0, fails), int(bool(fails))

    first, two = int("abcdef0", 16) % 1_000_000 * 1000, ("--workload", "queues", "--workload", "keys", "--jobs", "1")
    monkeypatch.setattr(Batch, "run", run)
    monkeypatch.setattr(command, "ROOT", file.parent)
    monkeypatch.setattr(command, "RECORD", file)
    monkeypatch.setattr(command, "commit_of", lambda *_: "abcdef012345")
    assert command.main(("--record", "--count", "7", *two)) == 0
    assert command.main(("--record", "--storm", "--count", "5", *two)) == 1
    assert command.main(("--record", "--storm", "--count", "6", *two)) == 1  # one of it has failed
    assert command.main(("--record", "--storm", "--without", "kill", "--count", "1", *two)) == 1
    assert command.main(("--record", "--count", "7", *two)) == 0  # all of it ran
    calm, storm = [(0, 5, False), (5, 2, False)], [(0, 5, True), (5, 1, True)]
    assert begun == [*calm, *storm, (0, 1, True)]
    assert file.read_text(encoding="utf-8").splitlines()[4:] == [
        f"| abcdef012345 | queues keys | {first} | 7 | 14 | 20 | 0.02 | none |",
        f"| abcdef012345 | queues keys, in storms | {first} | 6 | 12 | 20 | 0.02 | queues {first} |",
        f"| abcdef012345 | queues keys, in storms, --without kill | {first} | 1 | 2 | 10 | 0.01 | queues {first} |",
    ]


def test_the_published_record_adds_up() -> None:
    rows = Record(PAGE)._rows
    assert len({(row.commit, row.workloads) for row in rows}) == len(rows)
    for row in rows:
        of_each, rest = divmod(row.tally.seeds, row.each)
        assert not rest, row
        assert of_each in (range(22 if row.workloads.startswith("all") else 1, len(WORKLOADS) + 1)), row
        for failed in row.tally.failed:
            assert row.first <= int(failed.rpartition(" ")[2]) < row.first + row.each, row


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Something else\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no table"):
        Record(tmp_path / "page.md")


def test_what_is_not_committed_is_not_recorded(tmp_path: Path) -> None:
    page = tmp_path / "record.md"
    with pytest.raises(ValueError, match="no git checkout"):
        commit_of(tmp_path, page)

    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    git("init", "-q")
    for name in ("record.md", "code.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    git("add", "-A")
    git("commit", "-qm", "First")
    page.write_text("| a row |", encoding="utf-8")
    assert commit_of(tmp_path, page) == git("rev-parse", "HEAD")[:12]
    (tmp_path / "code.py").write_text("1", encoding="utf-8")
    with pytest.raises(ValueError, match="commit what you changed first"):
        commit_of(tmp_path, page)


def test_a_tally_adds_up_what_was_said_and_leaves_out_what_was_shrunk() -> None:
    tally = Tally.of(
        "queues 1: ok -- ttl 1 kills 0 stops 0 virtual 3.5 s calls 9 steps 40 trace 0a\n"
        "keys 2: lost [1] -- ttl 1 kills 0 stops 0 virtual 1.5 s calls 9 steps 2 no-data 1 trace 0b\n"
        "again: ./run simulate --workload keys --seed 2\n"
        "shrunk in 3 trials: ./run simulate --workload keys --seed 2 --messages 1\n"
        "  keys 2: lost [1] -- ttl 1 kills 0 stops 0 virtual 1.0 s calls 9 steps 1 trace 0c\n"
    )
    assert (tally.seeds, tally.steps, tally.seconds, tally.failed) == (2, 42, 5.0, ["keys 2"])


def test_a_plan_is_what_its_words_say() -> None:
    plan = Plan(storm=True, without=frozenset({"stop", "kill"}), strikes=(1, 2, 3, 8), messages=2, actors=1)
    assert plan.words == (
        ["--storm", "--without", "kill", "--without", "stop", "--strikes", "1-3,8", "--messages", "2", "--actors", "1"]
    )
    assert numbers("1-3,8") == plan.strikes
    assert Plan(strikes=()).words == ["--strikes", "0"]
    assert not Plan(strikes=numbers("0")).has("stop", 1)


class Counted(Batch):
    """A batch that needs no process."""

    def run(self, seconds: float) -> tuple[Tally, int]:  # noqa: ARG002
        """One batch is cut off, and one fails."""
        return Tally(self.count - (self.first == 2)), int(self.first == 3)


def test_what_was_not_run_whole_is_run_again_with_all_behind_it() -> None:
    noted: list[int] = []
    batches = (Counted(["queues"], first, 5, Plan()) for first in range(5))
    total, errors = run_batches(batches, 2, 60, lambda batch, _: noted.append(batch.first))
    assert noted == [0, 1]
    assert (total.seeds, errors) == (24, 1)
