"""Docstrings as reStructuredText: code in single backticks, and indented examples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_CODE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_SECTION: Final = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")


def prepare_docstring(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Mark code and examples in the lines of a docstring. A handler of `autodoc-process-docstring`."""
    prepared: list[str] = []
    in_section = in_example = False
    for line in lines:
        in_section = bool(_SECTION.match(line)) or (in_section and (not line or line.startswith(" ")))
        if not in_section and line.startswith("    ") and not in_example and (not prepared or not prepared[-1]):
            prepared += [".. code-block:: python", ""]
            in_example = True
        elif line and not line.startswith(" "):
            in_example = False
        prepared.append(line if in_example else _CODE.sub(r"``\1``", line))
    lines[:] = prepared
