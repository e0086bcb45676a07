"""Field texts: what stands below the fields of a class, as pydantic's `use_attribute_docstrings` reads it.

Read when a schema is made, not when the class is: that takes 30 ms, which each start of a service would pay.
"""

import ast
import inspect
import textwrap
from itertools import pairwise


def field_texts(kind: type, root: type) -> dict[str, str]:
    """The text below each field of a class and of its bases up to `root`; none where there is no source to read."""
    texts: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if issubclass(each, root):
            for name, text in _own_texts(each).items():
                texts.pop(name, None)
                if text:
                    texts[name] = text
    return texts


def _own_texts(kind: type) -> dict[str, str]:
    """Those of its own fields, empty where there is none."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, SyntaxError):
        return {}
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: _text(below)
        for field, below in pairwise([*body, ast.Pass()])
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def _text(line: ast.stmt) -> str:
    value = line.value.value if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) else None
    return inspect.cleandoc(value) if isinstance(value, str) else ""
