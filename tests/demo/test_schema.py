"""The schema that is committed is that of the demo's messages."""

from pathlib import Path

from tests.cli.test_schema import pipeline

COMMITTED = Path(__file__).resolve().parent.parent.parent / "docs" / "schema"


def test_what_is_committed_is_what_the_command_writes(tmp_path: Path) -> None:
    assert pipeline("schema", "--into", str(tmp_path)).returncode == 0
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()}
    assert committed == written, "call `./run pipeline schema`, and delete what is of no class any more"
