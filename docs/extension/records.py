"""Tables of the fields of `report.json`, from their types and docstrings."""

from __future__ import annotations

import re
import types
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from capacity.record.report import RunReport
from docs.extension.markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES: Final = {str: "text", int: "number", float: "number", bool: "true or false", type(None): "null"}
_ATTRIBUTE: Final = re.compile(r"^ {4}([\w, ]+): ", re.MULTILINE)


def report() -> str:
    """Return the fields of `report.json`."""
    return _sections(RunReport)


def json_type(kind: Any) -> str:
    """Return the type of a field in JSON, in words."""
    if kind in _NAMES:
        return _NAMES[kind]
    if _is_struct(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(code(one.value) for one in kind)
    return _generic_type(get_origin(kind), get_args(kind))


def _generic_type(origin: Any, arguments: tuple[Any, ...]) -> str:
    if origin is Literal:
        return " or ".join(map(code, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(json_type(one) for one in arguments))
    if origin is dict:
        return f"object: {json_type(arguments[1])} by name"
    if origin in (list, tuple):
        return f"list of {json_type(arguments[0])}"
    raise TypeError(f"no name for a field of type {origin}")


def meanings(kind: type) -> tuple[str, dict[str, str]]:
    """Return the description of a structure, and what its docstring says of its fields."""
    docstring = re.sub(r"^ {4}", "", kind.__doc__ or "", flags=re.MULTILINE)
    description, _, attributes = docstring.partition("\nAttributes:\n")
    parts = _ATTRIBUTE.split(attributes)[1:]
    found = {}
    for names, text in zip(parts[::2], parts[1::2], strict=True):
        for name in names.split(", "):
            found[name] = " ".join(text.split())
    return description.strip(), found


def _sections(root: type) -> str:
    return "\n".join(_section(kind) for kind in structures(root))


def structures(root: type) -> list[type]:
    """Return a structure and those that its fields contain, each once."""
    return list(dict.fromkeys(_structs(root)))


def _section(kind: type) -> str:
    description, known = meanings(kind)
    rows = [
        (code(field.encode_name), json_type(field.type), known.get(field.name, ""))
        for field in msgspec.structs.fields(kind)
    ]
    return f"## {kind.__name__}\n\n{description}\n\n" + table(("field", "type", "meaning"), rows)


def _structs(kind: Any) -> Iterator[type]:
    if _is_struct(kind):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from _structs(field.type)
    for inner in get_args(kind):
        yield from _structs(inner)


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
