"""Pages that show files of the repository, and links between pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docs.extension.repository_pages import RepositoryPages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pages(tmp_path: Path) -> RepositoryPages:
    """A repository with a package, its README, and two pages."""
    files = {
        "package/README.md": "# Package\n\nSee [code](code.py), [the guide](../docs/guide.md#start), [web](https://example.org).\n"
        "![chart](chart.png)\n\n```sh\ncat [not a link](x.md)\n```\n",
        "package/code.py": "",
        "package/chart.png": "",
        "docs/guide.md": "# Guide\n\n"
        "[the package](../package/README.md#package), [its folder](../package), [data](../data) "
        "[`news`](../NEWS.md)\n",
        "NEWS.md": "# News\n",
        "docs/how-to/package.md": "```{repository-page} ../../package/README.md\n```\n",
        "docs/folder/README.md": "# Folder\n",
        "data/one.txt": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return RepositoryPages(tmp_path / "docs")


def test_a_page_shows_the_file_with_links_and_images_from_its_own_place(pages: RepositoryPages) -> None:
    text = pages.read("how-to/package", "```{repository-page} ../../package/README.md\n```\n")
    assert "[code](../../package/code.py), [the guide](../guide.md#start), [web](https://example.org)" in text
    assert "![chart](../../package/chart.png)" in text
    assert "cat [not a link](x.md)" in text


def test_a_link_to_a_shown_file_or_its_folder_leads_to_the_page(pages: RepositoryPages, tmp_path: Path) -> None:
    text = pages.read("guide", (tmp_path / "docs/guide.md").read_text())
    assert "[the package](how-to/package.md#package), [its folder](how-to/package.md), data (`data`) `news`" in text


def test_the_page_of_a_folder_is_above_the_others_of_the_folder(pages: RepositoryPages) -> None:
    assert "{toctree}" in pages.read("folder/README", "# Folder\n")
    assert "{toctree}" not in pages.read("guide", "# Guide\n")
