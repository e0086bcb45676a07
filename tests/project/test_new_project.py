"""`./run new`: a project of one's own that runs its job, and passes its check and its tests."""

import json
import re
from pathlib import Path

import pytest

from tests.instruments.cluster import answers
from tests.instruments.new_project import ROOT, new, typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new(ROOT, tmp_path_factory.mktemp("new") / "mail", "--name", "mail-jobs")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new(ROOT, tmp_path_factory.mktemp("new") / "words", "--example")


def files_in(folder: Path) -> dict[Path, bytes]:
    """What a folder holds, without what Python has made of it."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder): path.read_bytes() for path in found}


def test_its_first_commit_is_the_template_whole_and_the_second_its_own(project: Path) -> None:
    subjects = typed(project, "git", "log", "--format=%s", "--reverse").splitlines()
    assert subjects == ["Take the template whole", "Begin mail-jobs"]
    assert typed(project, "git", "branch", "--format=%(refname:short)").split() == ["main", "upstream"]
    assert typed(project, "git", "status", "--porcelain") == ""
    there = typed(project, "git", "ls-tree", "-r", "--name-only", "upstream").splitlines()
    assert "benchmarks/__main__.py" in there
    assert "shared/demo/messages.py" in there


def test_it_has_its_own_name_and_nothing_of_the_demo_or_the_benchmarks(project: Path) -> None:
    there = typed(project, "git", "ls-files").splitlines()
    assert not [path for path in there if re.search(r"(^|/)(demo|benchmarks|performance|new)/|test_bench", path)]
    for file, text in (
        ("pyproject.toml", 'name = "mail-jobs"'),
        ("shared/version.py", 'VERSION: Final = "0.1.0"'),
        ("Dockerfile", 'image.title="mail-jobs"'),
        ("docker-compose.yml", "${PIPELINE_QUEUE:-mail-jobs}"),
        ("deploy/kubernetes/base/kustomization.yaml", "- PIPELINE_QUEUE=mail-jobs\n"),
        ("deploy/kubernetes/base/namespace.yaml", "  name: mail-jobs\n"),
        ("deploy/kubernetes/scaling/demand/scaled-object.yaml", "http://monitor.mail-jobs:8080/metrics"),
        ("shared/settings.py", '= "mail-jobs"'),
        ("README.md", "# mail-jobs"),
    ):
        assert text in (project / file).read_text(encoding="utf-8"), file
    manifests = "".join(path.read_text("utf-8") for path in (project / "deploy" / "kubernetes").rglob("*.yaml"))
    assert not re.findall(
        r".*(?:PASSES|(?<!-)\bjobs\b|namespace: weir|\.weir:|newName: weir|-n weir).*", manifests, re.MULTILINE
    )
    assert "demo/" not in (project / "docs" / "rooms.md").read_text(encoding="utf-8")
    assert "CountWords" not in typed(project, "git", "grep", "-l", "greet", "--", "shared", "consumer")
    assert len((project / "README.md").read_text(encoding="utf-8").splitlines()) < 50
    help_ = typed(project, "./run", "help")
    assert "  bench" not in help_
    assert "  new " not in help_
    for command in re.findall(r"\./run ([a-z]+)", (project / "README.md").read_text(encoding="utf-8")):
        assert f"\n  {command} " in help_


def test_its_job_runs_through_real_processes(project: Path) -> None:
    said = typed(project, "./run", "demo")
    assert said == "queue mail-jobs: 100 put, 100 handled by 2 consumers, 0 dead, 0 left\n"
    typed(project, "git", "diff", "--exit-code")


def test_a_job_that_fails_ends_with_1_and_says_so(project: Path) -> None:
    handlers = project / "consumer" / "handlers.py"
    before = handlers.read_text(encoding="utf-8")
    try:
        handlers.write_text(before.replace('    text = f"', '    raise OSError("no greeting today")\n    text = f"'))
        said = typed(project, "env", "PIPELINE_MAX_ATTEMPTS=1", "PIPELINE_GREETINGS=5", "./run", "demo", code=1)
        assert said == "queue mail-jobs: 5 put, 0 handled by 2 consumers, 5 dead, 0 left\n"
        handlers.write_text("import nothing_like_that\n")
        assert "No module named 'nothing_like_that'" in typed(project, "./run", "demo", code=1)
    finally:
        handlers.write_text(before, encoding="utf-8")


def test_it_passes_its_check(project: Path) -> None:
    typed(project, "./run", "check", seconds=280)


OF_THE_ENGINE = tuple(
    f"tests/{folder}"
    for folder in (
        *("conformance", "effects", "limits", "locks", "once", "order", "queues", "results", "simulation"),
        *("blocking", "campaigns", "cluster", "consumer", "fuzzing", "roles"),
    )
)
"""Folders of tests that need the engine alone, or services with handlers that the tests bring along. A project has all
of that as it is here, where they have run."""
YOURS = {Path("handlers.py")}


@pytest.mark.alone
@pytest.mark.timeout(3600)
def test_it_passes_its_tests(project: Path) -> None:
    for folder in ("shared/concurrency", "consumer", "tests/instruments", *OF_THE_ENGINE):
        there, here = files_in(project / folder), files_in(ROOT / folder)
        assert there.keys() == here.keys()
        assert {file for file in here if there[file] != here[file]} <= (YOURS if folder == "consumer" else set())
    said = typed(project, "./run", "test", *(f"--ignore={folder}" for folder in OF_THE_ENGINE), seconds=3500)
    assert " passed" in said
    assert "tests/job" in typed(project, "./run", "test", "tests/job", "-v", seconds=400)
    assert typed(project, "git", "status", "--porcelain") == ""


def test_with_the_example_it_counts_words_and_passes_its_check(example: Path) -> None:
    assert "exact: the counts equal" in typed(example, "./run", "demo", "examples", "--glob", "*/*.py")
    assert "0.1.0" in typed(example, "git", "show", "HEAD:docs/schema/asyncapi.json")
    typed(example, "./run", "check", seconds=280)
    few = ("tests/demo", *(f"tests/project/test_{word}.py" for word in ("imports", "committed", "kubernetes")))
    typed(example, "./run", "test", *few, seconds=280)


@pytest.mark.parametrize("which", ["project", "example"])
def test_every_link_of_its_pages_leads_to_a_file(which: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(which)
    pages = [folder / path for path in typed(folder, "git", "ls-files", "*.md").splitlines()]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 50
    assert not [f"{page}: {link}" for page, link in links if not (page.parent / link).exists()]


@pytest.mark.compose
@pytest.mark.parametrize("which", ["project", "example"])
def test_compose_can_read_it(which: str, request: pytest.FixtureRequest) -> None:
    if not answers("compose", "version"):
        pytest.skip("there is no `docker compose` here")
    folder: Path = request.getfixturevalue(which)
    services = json.loads(typed(folder, "docker", "compose", "config", "--format", "json"))["services"]
    assert set(services) == {"redis", "producer", "consumer", "clock", "monitor"}
    queue = {"project": "mail-jobs", "example": "jobs"}[which]
    assert services["consumer"]["environment"]["PIPELINE_QUEUE"] == queue


@pytest.mark.parametrize(
    "name,why",
    [("Mail", "a name is"), ("-", "a name is"), ("a--b", "a name is"), ("a" * 41, "a name is"), ("", "a name is")],
)
def test_a_bad_name_is_refused_in_one_line(tmp_path: Path, name: str, why: str) -> None:
    said = typed(ROOT, "./run", "new", str(tmp_path / "-"), f"--name={name}", code=2)
    assert (said.count("\n"), why in said) == (1, True)
    assert not (tmp_path / "-").exists()


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    assert "not empty" in typed(ROOT, "./run", "new", str(tmp_path), "--name", "mail", code=2)
    assert "inside the template" in typed(ROOT, "./run", "new", "here", "--name", "mail", code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
