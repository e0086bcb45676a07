"""What is committed works on every machine: no path or address of the one it was written on."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tools.lock import GROUPS

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-redis8.lock",
    "requirements-plots.lock",
    "requirements-servers.lock",
)
PICTURES = (".png",)
LARGE = ("axe.min.js",)  # of others, as it was published
# Someone's home or project folder, and the hosts that packages are taken from.
OF_ONE_MACHINE = re.compile(
    r"(?<![\w.:])/(?:home|Users|root|work|farm)/|\bfile:///|py(?:pi|thonhosted)\.org|/simple/?\b"
)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every file under version control."""
    git = shutil.which("git") or "git"
    try:
        said = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    return [path for name in said.stdout.split("\0") if name and (path := ROOT / name).exists()]


def test_no_file_holds_a_path_or_an_address_of_one_machine(tracked: list[Path]) -> None:
    here = {str(folder) for folder in (ROOT, Path.home()) if len(folder.parts) > 2}
    for path in set(tracked) - {Path(__file__).resolve()}:
        if path.suffix in PICTURES:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not OF_ONE_MACHINE.search(line), f"{path}:{number}: {line}"
            assert not any(folder in line for folder in here), f"{path}:{number}: {line}"


def test_every_file_is_text_with_unix_line_ends_and_small(tracked: list[Path]) -> None:
    for path in tracked:
        content = path.read_bytes()
        assert not path.is_symlink(), path
        assert len(content) < (1_000_000 if path.name in LARGE else 500_000), path
        if path.suffix not in PICTURES:
            assert b"\0" not in content, path
            assert b"\r" not in content, path


def test_no_file_cites_a_document_that_is_not_here(tracked: list[Path]) -> None:
    for path in set(tracked) - {Path(__file__).resolve()}:
        if path.suffix not in {".py", ".lua", ".md", ".yml", ".toml"}:
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bDESIGN\b|# L\d+\b", text), path
        for page in re.findall(r"(?<![\w/.-])((?:[\w-]+/)+[\w-]+\.md|[A-Z-]+\.md)\b", text):
            assert any((folder / page).exists() for folder in (ROOT, ROOT / "docs", path.parent)), (path, page)


def test_the_doors_can_be_executed(tracked: list[Path]) -> None:
    assert all(path in tracked and path.stat().st_mode & 0o111 for path in (ROOT / "run", ROOT / ".ci" / "run"))


def locked(name: str) -> dict[str, list[str]]:
    """Each requirement of a lock file with its hashes; AssertionError for a line that is neither."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text().replace("\\\n", "").splitlines():
        words = re.fullmatch(r"([\w.-]+==[\w.!+]+(?: ; [^;]*?)?)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert words, f"{name}: {line:.100}"
        found[words[1].strip()] = words[2].split()
    return found


@pytest.mark.parametrize(
    "name", [*LOCKS, *(f"benchmarks/peers/{path.name}" for path in (ROOT / "benchmarks" / "peers").glob("*.lock"))]
)
def test_lock_files_hold_versions_and_hashes_and_nothing_else(name: str) -> None:
    assert locked(name)


def test_the_lock_for_development_holds_what_the_services_run_with() -> None:
    services, development = locked(LOCKS[0]), locked(LOCKS[1])
    assert services.items() <= development.items()


def test_both_ways_of_locking_take_every_group() -> None:
    # `./run lock --pip` left one out: after it `--reload` found its package no more.
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    assert set(GROUPS) == set(groups)
    for group in groups.values():
        for line in group:
            name = re.split(r"[^\w.-]", line)[0]
            assert any(each.startswith(f"{name}==") for each in locked(LOCKS[1])), line


def test_the_lock_for_redis_py_8_holds_it() -> None:
    assert any(requirement.startswith("redis==8.") for requirement in locked(LOCKS[2]))
