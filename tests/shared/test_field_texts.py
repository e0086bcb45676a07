"""The text below a field is its description, wherever the schema of its class is made, as where pydantic reads it."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.field_texts import field_texts
from shared.message import Message


class Read(BaseModel):
    """Its texts are read by pydantic."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    plain: int
    """One line,

    and more.
    """
    other: int = Field(3, alias="another")
    """Under its alias."""
    own: int = Field(1, description="said otherwise")
    """Not this."""
    bare: int = 2


class ReadBelow(Read):
    """One below."""

    plain: int
    more: str = ""
    """Of this class."""


@pytest.fixture
def ours() -> Iterator[tuple[type[Message], type[Message]]]:
    class Told(Message):
        """The same, as a message."""

        plain: int
        """One line,

        and more.
        """
        other: int = Field(3, alias="another")
        """Under its alias."""
        own: int = Field(1, description="said otherwise")
        """Not this."""
        bare: int = 2

    class ToldBelow(Told):
        """One below."""

        plain: int
        more: str = ""
        """Of this class."""

    yield Told, ToldBelow
    for name in ("Told", "ToldBelow"):
        del Message._classes[name]


def properties(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = schema["properties"]
    return found


def test_each_field_is_described(ours: tuple[type[Message], type[Message]]) -> None:
    for each, read in zip(ours, (Read, ReadBelow), strict=True):
        assert properties(each.model_json_schema()) == properties(read.model_json_schema())
    above = properties(ours[0].model_json_schema(by_alias=False))
    assert above == properties(Read.model_json_schema(by_alias=False))
    assert {name: about.get("description") for name, about in above.items()} == {
        "plain": "One line,\n\nand more.", "other": "Under its alias.", "own": "said otherwise", "bare": None,
    }  # fmt: skip


def test_so_is_each_where_a_schema_of_others_is_made_of_it(ours: tuple[type[Message], type[Message]]) -> None:
    listed: Any = list.__class_getitem__(ours[1])
    found = TypeAdapter(listed).json_schema()
    assert found["$defs"]["ToldBelow"]["properties"]["more"]["description"] == "Of this class."


def test_a_class_without_a_source_has_no_texts() -> None:
    made = type("Made", (Read,), {"__module__": "nowhere"})
    assert field_texts(made, made) == {}
