"""Pages of the site whose text is in another folder of the repository, and the links between all pages.

A page with the block

    ```{repository-page} ../../capacity/README.md
    ```

shows the text of that file. Links are written for readers of the repository. Here they lead to the page that shows the
file, or else to a copy of the file. Folders and texts that no page shows are named instead, from the root of the
repository.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_BLOCK: Final = re.compile(r"^```\{repository-page\} (\S+)\n```\n", re.MULTILINE)
_FENCED: Final = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]*)(#[^)\s]*)?\)")
_IMAGE: Final = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)\s]+)\)")
_INDEX: Final = "README"


class RepositoryPages:
    """The pages of the site and the files of the repository that they show."""

    def __init__(self, folder: os.PathLike[str]) -> None:
        self._folder = Path(folder).resolve()
        self._shown: dict[Path, Path] = {}
        """The file of the repository that has the text of a page, by the page's file."""
        for page in sorted(self._folder.rglob("*.md")):
            found = _BLOCK.search(page.read_text())
            self._shown[page] = (page.parent / found[1]).resolve() if found else page
        self._page_of = {shown: page for page, shown in self._shown.items()}

    @property
    def unfinished(self) -> list[str]:
        """Return the pages that each build reads again: Sphinx does not know the files that they depend on."""
        return [page.relative_to(self._folder).with_suffix("").as_posix() for page in self._shown]

    def read(self, name: str, text: str) -> str:
        """Return the source of a page, given its name and the text of its file.

        Raises:
            OSError: the file that the page shows cannot be read.
        """
        page = self._folder / f"{name}.md"
        shown = self._shown[page]
        if shown != page:
            text = shown.read_text()
        parts = _FENCED.split(text)
        parts[::2] = [self._with_links(part, page, shown) for part in parts[::2]]
        text = "".join(parts)
        if page.stem == _INDEX:  # the page of a folder is above the other pages of the folder
            text += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"
        return text

    def _with_links(self, text: str, page: Path, shown: Path) -> str:
        def image(match: re.Match[str]) -> str:
            return f"![{match[1]}]({_relative(shown.parent / match[2], page)})"

        def link(match: re.Match[str]) -> str:
            text, path, anchor = match[1], match[2], match[3] or ""
            target = (shown.parent / path).resolve()
            if target.is_dir():
                target = next((one for one in (target / "README.md",) if one in self._page_of), target)
            if target.is_dir() or (target.suffix == ".md" and target not in self._page_of and target.exists()):
                return text if text.startswith("`") else f"{text} (`{_relative(target, self._folder)}`)"
            return f"[{text}]({_relative(self._page_of.get(target, target), page)}{anchor})"

        return _LINK.sub(link, _IMAGE.sub(image, text))


def _relative(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target.resolve(), page.parent)).as_posix()
