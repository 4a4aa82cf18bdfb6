"""The templates of our sections of HTML."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader

if TYPE_CHECKING:
    from jinja2 import Template

FOLDER: Final = Path(__file__).parent


@cache
def template(name: str) -> Template:
    """Return a template of this folder; it escapes what it is given."""
    pages = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template(name)
