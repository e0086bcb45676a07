"""Which changes of a message class need a new version: by the schema that is committed, in both directions."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.changes import Change, compare
from shared.version import VERSION
from tests.instruments.application import make
from tests.instruments.command_line import environment

HEAD = """
from typing import Literal
from pydantic import BaseModel, ConfigDict, Field
from shared import upgrades
from shared.message import Message

class Card(BaseModel):
    model_config = ConfigDict(frozen=True)
    number: str
    CARD

class Charge(Message KEYWORDS):
    cents: int
    card: Card
    kind: Literal["one", "two"] = "one"
    friends: list[Card] = []
    note: str = Field("", max_length=20)
    FIELDS

"""


def compared(now: str, before: str = HEAD) -> list[Change]:
    """Compare the class of one source with that of another."""
    return compare({"Charge.json": described(before)}, {"Charge.json": described(now)})


def described(source: str) -> str:
    """The JSON Schema of the class, without registering it."""
    names: dict[str, Any] = {}
    text = source.replace("(Message KEYWORDS)", "(BaseModel)").replace("FIELDS", "").replace("CARD", "")
    exec(text, names)  # noqa: S102  # the source is ours
    return json.dumps(names["Charge"].model_json_schema())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An application whose schema is that of version 1 of its one class."""
    make(tmp_path)
    root = Path(__file__).resolve().parent.parent.parent
    shutil.copytree(root / "monitor", tmp_path / "monitor", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "cli", tmp_path / "cli", ignore=shutil.ignore_patterns("demo", "__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    write(tmp_path)
    schema(tmp_path)
    return tmp_path


def write(
    project: Path, source: str = HEAD, *, keywords: str = "", fields: str = "", card: str = "", more: str = ""
) -> None:
    """Change the message classes."""
    text = source.replace("KEYWORDS", keywords).replace("FIELDS", fields).replace("CARD", card) + more
    (project / "shared" / "messages.py").write_text(text)


def schema(project: Path, *words: str, code: int = 0) -> list[str]:
    """What `pipeline schema` says, one line for each."""
    # Without bytecode: of two classes that are written within a second, as long as each other, the first would run.
    done = subprocess.run(
        [sys.executable, "-B", "-m", "cli", "schema", *words],
        env=environment(PYTHONPATH=str(project)), cwd=project, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return (done.stderr if code else done.stdout).splitlines()


def test_without_a_change_it_says_nothing(project: Path) -> None:
    assert schema(project, "--check") == []


@pytest.mark.parametrize(
    "before,after,said",
    [
        ("FIELDS", "currency: str = 'EUR'", "currency added, with a default"),
        ("FIELDS", "tip: int | None = None", "tip added, with a default"),
        ("CARD", "until: str = ''", "card.until added, with a default"),
    ],
)
def test_a_field_with_a_default_is_compatible(before: str, after: str, said: str) -> None:
    (change,) = compared(HEAD.replace(before, after))
    assert change.text == f"Charge: compatible ({said}); call ./run pipeline schema"
    assert not change.is_wrong


@pytest.mark.slow
def test_what_is_compatible_is_said_until_it_is_written(project: Path) -> None:
    write(project, HEAD.replace("FIELDS", "currency: str = 'EUR'"))
    assert schema(project, "--check") == [
        "Charge: compatible (currency added, with a default); call ./run pipeline schema"
    ]
    schema(project)
    assert schema(project, "--check") == []


@pytest.mark.slow
def test_another_version_of_the_project_is_to_be_written(project: Path) -> None:
    version = project / "shared" / "version.py"
    version.write_text(version.read_text().replace(f'"{VERSION}"', '"98.7.6"'))
    assert schema(project, "--check") == ["docs/schema/asyncapi.json is out of date; call ./run pipeline schema"]
    schema(project)
    assert '"98.7.6"' in (project / "docs" / "schema" / "asyncapi.json").read_text()
    assert schema(project, "--check") == []


@pytest.mark.parametrize(
    "before,after",
    [
        ("class Charge(Message KEYWORDS):", 'class Charge(Message KEYWORDS):\n    """Take the money."""'),
        ("cents: int", "cents: int = 0"),
        ('= "one"', '= "two"'),
        ("class Card", "class Purse"),
    ],
)
def test_what_changes_no_message_needs_nothing(before: str, after: str) -> None:
    source = HEAD.replace(before, after)
    assert compared(source.replace("Card", "Purse") if "Purse" in after else source) == []


@pytest.mark.parametrize(
    "before,after,said",
    [
        ("cents: int", "", "cents is gone"),
        ("cents: int", "amount: int", "cents is gone, amount added, without a default"),
        ("cents: int", "cents: str", "cents: type changed"),
        ("cents: int", "cents: int | None", "cents: anyOf changed, cents: type changed"),
        ("FIELDS", "currency: str", "currency added, without a default"),
        ('= "one"', "", "kind has no default any more"),
        ('Literal["one", "two"]', 'Literal["one", "two", "three"]', "kind: enum changed"),
        ("max_length=20", "max_length=30", "note: maxLength changed"),
        ("number: str", "number: int", "card.number: type changed"),
        ("number: str", "", "card.number is gone"),
        ("friends: list[Card]", "friends: dict[str, Card]", "friends: additionalProperties changed"),
    ],
)
def test_any_other_change_needs_a_new_version(before: str, after: str, said: str) -> None:
    (change,) = compared(HEAD.replace(before, after))
    assert change.is_wrong
    assert change.text.startswith("Charge: a new version is needed (")
    assert said in change.text


@pytest.mark.slow
def test_what_needs_a_new_version_is_not_written(project: Path) -> None:
    write(project, HEAD.replace("cents: int", "cents: str"))
    kept = (project / "docs" / "schema" / "Charge.json").read_text()
    for words in (("--check",), ()):
        assert schema(project, *words, code=2) == [REFUSED]
    # To write it would hide that.
    assert (project / "docs" / "schema" / "Charge.json").read_text() == kept


REFUSED = (
    "pipeline: Charge: a new version is needed (cents: type changed): write version=2 behind its base class and "
    "@upgrades(Charge, from_version=1), then call ./run pipeline schema; see docs/messages-that-change.md"
)
STEP = "\n@upgrades(Charge, from_version=1)\ndef step(body: dict) -> dict:\n    return body\n"


@pytest.mark.slow
def test_a_new_version_with_its_upgrade_is_written(project: Path) -> None:
    source = HEAD.replace("cents: int", "cents: str")
    write(project, source, keywords=", version=2")
    assert schema(project, "--check", code=2) == [
        "pipeline: no function upgrades these messages: write @upgrades(Charge, from_version=1) beside the class"
    ]
    write(project, source, keywords=", version=2", more=STEP)
    assert schema(project, "--check") == ["Charge: version 2, after 1; call ./run pipeline schema"]
    schema(project)
    assert json.loads((project / "docs" / "schema" / "Charge.json").read_text())["x-version"] == 2
    assert schema(project, "--check") == []
    write(project, source)
    (line,) = schema(project, "--check", code=2)
    assert "it had version 2 and has 1: a version never goes back; write version=3" in line


@pytest.mark.slow
def test_a_class_that_is_gone_or_has_another_name(project: Path) -> None:
    write(project, HEAD.replace("Charge", "Payment"))
    (line,) = schema(project, "--check", code=2)
    assert line == (
        'pipeline: Charge: there is no such class any more: write formerly=("Charge",) behind the class that it became, '
        "or delete docs/schema/Charge.json once no queue holds a message of it; see docs/messages-that-change.md"
    )
    write(project, HEAD.replace("Charge", "Payment"), keywords=', formerly=("Charge",)')
    assert schema(project, "--check") == ["Charge is called Payment now: delete docs/schema/Charge.json"]
    # Its fields are compared all the same.
    write(
        project,
        HEAD.replace("Charge", "Payment").replace("cents: int", "cents: str"),
        keywords=', formerly=("Charge",)',
    )
    (line,) = schema(project, "--check", code=2)
    assert line.startswith("pipeline: Payment: a new version is needed (cents: type changed)")


def test_a_union_by_a_discriminator_is_looked_into() -> None:
    cash = "class Cash(BaseModel):\n    by: Literal['cash']\n\nclass Card(BaseModel):\n    by: Literal['card']"
    union = HEAD.replace("class Card(BaseModel):", cash).replace(
        "FIELDS", "means: Cash | Card = Field(discriminator='by')"
    )
    (change,) = compared(union.replace("    number: str", "    number: int"), union)
    assert "number: type changed" in change.text


def test_each_field_that_takes_another_type_by_its_name_is_looked_into() -> None:
    before = HEAD.replace("FIELDS", "first: int\n    second: str")
    number = "class Number(RootModel[int]): ...\n\nclass Card("
    after = HEAD.replace("FIELDS", "first: Number\n    second: Number").replace("class Card(", number)
    (change,) = compared(after.replace("import BaseModel", "import RootModel, BaseModel"), before)
    assert "(second: type changed)" in change.text
