"""The texts below the fields of a message class are their descriptions in its JSON schema, as pydantic has them."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from shared.message import Message

Documented = Annotated[int, Field(description="of the type")]


class Part(BaseModel):
    """A part of it."""

    size: int


class OurBase(Message):
    above: int
    """Said above."""

    both: str
    """Said above, too."""


class OurWhole(OurBase):
    """All of it."""

    plain: int
    """Said in
    two lines."""
    silent: int
    named: int = Field(alias="Named")
    """Has another name."""
    own: int = Field(description="its own")
    """Not this."""
    typed: Documented
    """Not this either."""
    part: Part
    """A class of its own."""
    both: str = "x"
    """Said below."""


class TheirBase(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    above: int
    """Said above."""

    both: str
    """Said above, too."""


class TheirWhole(TheirBase):
    """All of it."""

    plain: int
    """Said in
    two lines."""
    silent: int
    named: int = Field(alias="Named")
    """Has another name."""
    own: int = Field(description="its own")
    """Not this."""
    typed: Documented
    """Not this either."""
    part: Part
    """A class of its own."""
    both: str = "x"
    """Said below."""


@pytest.fixture(autouse=True)
def _only_here() -> Iterator[None]:
    before = dict(Message._classes)
    yield
    Message._classes.clear()
    Message._classes.update(before)


def _described(tp: type[BaseModel], **how: Any) -> dict[str, Any]:
    return {**tp.model_json_schema(**how), "title": ""}


@pytest.mark.parametrize("by_alias", [True, False])
@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_they_are_those_of_pydantic(*, by_alias: bool, mode: str) -> None:
    assert _described(OurWhole, by_alias=by_alias, mode=mode) == _described(TheirWhole, by_alias=by_alias, mode=mode)


def test_a_message_within_another_model_has_them_too() -> None:
    holder = create_model("Holder", of=(OurBase, ...))
    assert holder.model_json_schema()["$defs"]["OurBase"]["properties"]["above"]["description"] == "Said above."


def test_a_class_within_a_function() -> None:
    class Inner(Message):
        field: int
        """Said within,
        in a second line."""

    assert Inner.model_json_schema()["properties"]["field"]["description"] == "Said within,\nin a second line."


def test_a_class_without_a_source_has_none() -> None:
    made: dict[str, Any] = {"Message": Message, "__name__": "nowhere"}
    exec('class Typed(Message):\n    field: int\n    """Said where nobody finds it."""\n', made)  # noqa: S102
    assert "description" not in made["Typed"].model_json_schema()["properties"]["field"]
