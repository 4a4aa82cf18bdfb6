"""A Sphinx extension: pages from other folders of the repository, and reference pages generated from the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docs.extension.docstrings import prepare_docstring
from docs.extension.generated import insert_generated
from docs.extension.repository_pages import RepositoryPages

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    pages = RepositoryPages(app.srcdir)

    def read(_app: Sphinx, name: str, content: list[str]) -> None:
        content[0] = insert_generated(pages.read(name, content[0]))

    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # before napoleon
    app.connect("env-get-outdated", lambda _app, _env, _added, _changed, _removed: pages.unfinished)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
