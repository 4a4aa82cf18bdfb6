"""Tables of the options of the three programs, of the load shapes and of the user classes."""

from __future__ import annotations

import ast
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from capacity.config.drill_settings import DRILL_OPTIONS
from capacity.config.options import flag
from capacity.config.settings import RUN_OPTIONS
from docs.extension.markdown import code, plain, table
from server.settings import table as server_table
from stampede.locust.options import OPTIONS as LOAD_TEST_OPTIONS
from stampede.workload.shapes import DESCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capacity.config.options import Option

_HEAD: Final = ("option", "default", "meaning")
_LOADTEST: Final = Path(__file__).parent.parent.parent / "loadtest"


def capacity_run() -> str:
    """Return a section for each group of options of a capacity run."""
    return _sections(RUN_OPTIONS)


def drill() -> str:
    """Return the table of the options that only a drill has."""
    return _rows(DRILL_OPTIONS)


def load_test() -> str:
    """Return the table of the options of the load test."""
    return table(
        _HEAD,
        (
            (code(f"--{one.name}"), code("" if one.default is None else one.default), plain(one.help))
            for one in LOAD_TEST_OPTIONS
        ),
    )


def server() -> str:
    """Return the table of the settings of the server."""
    return table(_HEAD, ((code(row.flag), code(row.default), plain(row.help)) for row in server_table()))


def shapes() -> str:
    """Return the table of the load shapes."""
    return table(("shape", "users"), ((code(shape.value), text) for shape, text in DESCRIPTIONS.items()))


def user_classes() -> str:
    """Return the table of the user classes of `loadtest/`, with their weights and what their docstrings say."""
    found = [
        (node.name, _weight(node), (ast.get_docstring(node) or "").partition("\n\n")[0])
        for path in sorted(_LOADTEST.glob("[!_]*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("User")
    ]
    found.sort(key=lambda row: -int(row[1]))
    return table(("class", "weight", "what it does"), ((code(name), weight, text) for name, weight, text in found))


def _weight(user: ast.ClassDef) -> str:
    for node in user.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [one.id for one in node.targets if isinstance(one, ast.Name)]
            if names == ["weight"]:
                return str(node.value.value)
    return "1"


def _sections(options: Mapping[str, Option]) -> str:
    grouped = groupby(options.items(), key=lambda item: item[1].group)
    return "\n".join(f"### {group.capitalize()}\n\n{_rows(dict(items))}" for group, items in grouped)


def _rows(options: Mapping[str, Option]) -> str:
    return table(_HEAD, ((code(flag(name)), code(one.default), _meaning(one)) for name, one in options.items()))


def _meaning(option: Option) -> str:
    thorough = f"; with `--thorough`: `{option.thorough}`" if option.thorough else ""
    return f"{plain(option.help)}{thorough}"
