"""The README's picture of a report can be made from any saved report."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from capacity.search.search import Ending
from tests.capacity import make
from tests.capacity.pages import render_html
from tests.capacity.report_picture import PICTURE, WIDTH, take_picture
from tests.tables import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from capacity.record.report import RunReport

REPORTS = {"a search": make.report(make.converged()), "one level": make.report([make.step(100)], Ending.BUDGET)}


@pytest.mark.parametrize(("name", "least", "most"), [("a search", 700, 1300), ("one level", 300, 700)])
def test_the_picture_has_the_first_screen_and_at_most_one_chart(
    chromium: Browser, tmp_path: Path, name: str, least: int, most: int
) -> None:
    report: RunReport = REPORTS[name]
    page_file = tmp_path / "report.html"
    page_file.write_text(render_html(report))
    picture = take_picture(chromium, page_file)
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width == WIDTH
    assert least < height < most


def test_the_readme_shows_the_picture() -> None:
    assert f"]({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text()
