"""Field docs: the text below a field of a message class is its description in a JSON schema.

It is read from the source once somebody asks for a schema. pydantic's own `use_attribute_docstrings` reads the source
when a class is made, and walks through all modules for that: no other work on our classes takes a start so long.
"""

import ast
import inspect
from itertools import pairwise
from typing import Any

from pydantic import BaseModel


def describe_fields(tp: type[BaseModel], schema: dict[str, Any]) -> None:
    """Add the descriptions to the schema of an object; a field that has one of its own keeps it."""
    properties = schema.get("properties", {})
    docs = _docs(tp)
    for name, field in tp.model_fields.items():
        if name in docs and field.description is None:
            for known_as in {name, field.alias, field.validation_alias, field.serialization_alias}:
                if isinstance(known_as, str) and known_as in properties:
                    properties[known_as]["description"] = docs[name]


def _docs(tp: type[BaseModel]) -> dict[str, str]:
    """The text below each field, of the class and of those above it."""
    docs: dict[str, str] = {}
    for base in reversed(tp.__mro__):
        if issubclass(base, BaseModel) and base.model_fields:
            docs |= _own_docs(base)
    return docs


def _own_docs(tp: type[BaseModel]) -> dict[str, str]:
    try:
        lines, _ = inspect.getsourcelines(tp)
    except (OSError, TypeError):  # made where there is no file
        return {}
    # Below an `if`, for a class within a function or a class is further to the right.
    source = "if True:\n" + "".join(lines) if lines[0][0].isspace() else "".join(lines)
    found = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(found.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
