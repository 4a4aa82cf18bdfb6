"""The documentation site: it builds without a warning, its links have targets, and it needs no other host."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from playwright.sync_api import expect

from tests.tables import ROOT

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from playwright.sync_api import Browser

    from tests.docs.fixtures import BuiltSite

PARTS = ["Tutorial", "How-to", "Reference", "Explanation"]
LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
TWO_SCREENS = 2 * 800
LARGEST_SITE = 8_000_000
"""In bytes."""

ALPHABETICAL = {"genindex.html", "glossary.html", "py-modindex.html", "search.html"}
"""Lists in which readers look up one word."""


def anchors(page: BeautifulSoup) -> set[str]:
    return {str(tag["id"]) for tag in page.find_all(id=True)}


def test_the_site_has_four_parts(documentation: BuiltSite) -> None:
    pages = dict(documentation.pages())
    captions = [
        caption.get_text() for caption in pages[documentation.folder / "index.html"].select(".sidebar-tree .caption")
    ]
    assert captions == PARTS


def test_every_page_of_the_folder_is_in_the_site(documentation: BuiltSite) -> None:
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert {path for path in pages if not (documentation.folder / path).with_suffix(".html").exists()} == set()


def test_every_internal_link_has_a_target(documentation: BuiltSite) -> None:
    pages = dict(documentation.pages())
    known = {path: anchors(page) for path, page in pages.items()}
    missing, checked = [], 0
    for path, page in pages.items():
        for tag in page.select("a[href]"):
            link = urlsplit(str(tag["href"]))
            if link.scheme or link.netloc:
                continue
            checked += 1
            target = path.parent.joinpath(unquote(link.path)).resolve() if link.path else path
            if not target.is_file() or (link.fragment and link.fragment not in known.get(target, {link.fragment})):
                missing.append((str(path.relative_to(documentation.folder)), tag["href"]))
    assert checked > 1000
    assert [one for one in missing if one[1] != "#"] == []


def test_no_page_loads_anything_from_another_host(documentation: BuiltSite) -> None:
    loaded = []
    for path, page in documentation.pages():
        for name, attribute in LOADED.items():
            urls = [str(tag[attribute]) for tag in page.select(f"{name}[{attribute}]")]
            loaded += [url for url in urls if urlsplit(url).netloc or url.startswith("//")]
            assert all((path.parent / unquote(urlsplit(url).path)).exists() for url in urls), path
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", str(page)), path
    for path in documentation.folder.rglob("*.css"):
        loaded += re.findall(r"(?:@import\s+|url\()['\"]?((?:https?:)?//[^)'\"]+)", path.read_text())
    assert loaded == []


def test_the_search_works_from_the_disk_and_asks_no_other_host(documentation: BuiltSite, chromium: Browser) -> None:
    page = chromium.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto((documentation.folder / "search.html").as_uri() + "?q=storm")
    expect(page.locator("#search-results ul.search li").first).to_be_visible()
    page.goto((documentation.folder / "index.html").as_uri())
    page.close()
    assert requested
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []


def test_no_page_above_two_screens_has_neither_a_picture_nor_a_table(
    documentation: BuiltSite, chromium: Browser
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    long = []
    for path, content in documentation.pages():
        name = os.path.relpath(path, documentation.folder)
        if name in ALPHABETICAL or content.select("article table, article img, article svg"):
            continue
        page.goto(path.as_uri())
        height = page.locator("article").evaluate("article => article.scrollHeight")
        if height > TWO_SCREENS:
            long.append((name, height))
    page.close()
    assert long == []


def test_the_site_is_small(documentation: BuiltSite) -> None:
    assert sum(path.stat().st_size for path in documentation.folder.rglob("*") if path.is_file()) < LARGEST_SITE


def test_no_page_scrolls_sideways_on_a_phone(documentation: BuiltSite, chromium: Browser) -> None:
    page = chromium.new_page(viewport={"width": 380, "height": 800})
    wide = []
    for path, _ in documentation.pages():
        page.goto(path.as_uri())
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(os.path.relpath(path, documentation.folder))
    page.close()
    assert wide == []
