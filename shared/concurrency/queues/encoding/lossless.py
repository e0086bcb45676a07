"""Lossless: of which types every value that can be written comes back equal, by pydantic's schema of them.

What is not known here counts as lossy. A lossless type has fields of its own only: a field of another model may hold
an object of a subclass, whose further fields are not written. Where None is written in its place, `null` stands in the
body.
"""

from collections.abc import Mapping
from enum import Enum, Flag
from typing import Any, Final

_MOST_DIGITS: Final = 4300
"""An integer of more digits is written, and is not read again."""

ALWAYS: Final = 1 << 62
NEVER: Final = 0

_PLAIN: Final = frozenset({"none", "bool", "int", "str", "bytes", "uuid", "date", "enum"})
_SAID_OF_ANY: Final = frozenset({"type", "ref", "metadata", "strict"})
_CONTENTS: Final = {
    "enum": {"cls", "members", "sub_type"},
    "nullable": {"schema"},
    "default": {
        "schema", "default", "default_factory", "default_factory_takes_data", "copy_default", "validate_default",
    },
    "list": {"items_schema", "fail_fast"},
    "definitions": {"schema", "definitions"},
    "definition-ref": {"schema_ref"},
    "model": {"cls", "config", "custom_init", "root_model", "schema", "generic_origin"},
    "model-fields": {"fields", "computed_fields", "model_name", "extra_behavior"},
    "model-field": {"schema", "frozen"},
}  # fmt: skip
"""What a part of a schema may say without making it lossy; anything else may change a value."""
_BOUNDS: Final = {"int": {"ge", "gt", "le", "lt", "multiple_of"}, "str": {"min_length", "max_length"}}
"""What refuses values and changes none. Lossless where the value was validated and cannot change afterwards."""
_CONFIG: Final = frozenset({"title", "strict", "extra_fields_behavior", "allow_inf_nan", "hide_input_in_errors"})


def lossless_up_to(schema: Mapping[str, Any]) -> int:
    """How many bytes a body has at most for which it is known that it comes back equal; NEVER where nothing is known.

    `schema`: the core schema of the type. A frozen model counts as validated: what `model_construct` leaves out of it
    is not looked for.
    """
    parts = _Parts()
    if not parts.are_lossless(schema):
        return NEVER
    return _MOST_DIGITS if parts.with_integers else ALWAYS


class _Parts:
    """The parts of one schema."""

    def __init__(self) -> None:
        self.with_integers = False
        self._definitions: dict[str, Mapping[str, Any]] = {}
        self._within: list[str] = []
        """Definitions that are looked at: one that holds itself has no depth of its own, and the reader has a limit."""

    def are_lossless(self, schema: Mapping[str, Any]) -> bool:
        """Look at the whole."""
        while schema["type"] == "definitions" and _says_only(schema):
            self._definitions |= {each["ref"]: each for each in schema["definitions"]}
            schema = schema["schema"]
        if schema["type"] == "definition-ref":
            schema = self._definitions.get(schema["schema_ref"], schema)
        return self._is_model(schema) if schema["type"] == "model" else self._is_value(schema, fixed=False)

    def _is_model(self, schema: Mapping[str, Any]) -> bool:
        cls, fields, config = schema["cls"], schema["schema"], schema.get("config", {})
        return (
            _says_only(schema)
            and not (schema["custom_init"] or schema["root_model"] or cls.__private_attributes__)
            and config.keys() <= _CONFIG
            and "allow" not in {config.get("extra_fields_behavior"), fields.get("extra_behavior")}
            and fields["type"] == "model-fields"
            and _says_only(fields)
            and not fields["computed_fields"]
            and all(
                _says_only(field) and self._is_value(field["schema"], fixed=bool(cls.model_config.get("frozen")))
                for field in fields["fields"].values()
            )
        )

    def _is_value(self, schema: Mapping[str, Any], *, fixed: bool) -> bool:
        """`fixed`: whether it was validated, and cannot change afterwards."""
        kind = schema["type"]
        self.with_integers |= kind == "int"
        if kind == "definition-ref":
            return self._is_defined(schema, fixed=fixed)
        if not _says_only(schema, _BOUNDS.get(kind, set()) if fixed else set()):
            return False
        if kind in {"nullable", "default"}:
            return self._is_value(schema["schema"], fixed=fixed)
        if kind == "list":
            return "items_schema" in schema and self._is_value(schema["items_schema"], fixed=False)
        if kind == "enum":
            return _is_lossless_enum(schema["cls"])
        # An integer in the place of a float is rounded, and only validation makes it a float.
        return kind in _PLAIN or (kind == "float" and fixed)

    def _is_defined(self, schema: Mapping[str, Any], *, fixed: bool) -> bool:
        ref = schema["schema_ref"]
        if not _says_only(schema) or ref in self._within or ref not in self._definitions:
            return False
        self._within.append(ref)
        try:
            return self._is_value(self._definitions[ref], fixed=fixed)
        finally:
            self._within.remove(ref)


def _says_only(schema: Mapping[str, Any], more: "set[str] | frozenset[str]" = frozenset()) -> bool:
    return schema.keys() <= _SAID_OF_ANY | _CONTENTS.get(schema["type"], set()) | more


def _is_lossless_enum(cls: type[Enum]) -> bool:
    return not issubclass(cls, Flag) and all(type(member.value) in {str, int} for member in cls)
