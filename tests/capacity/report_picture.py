"""Make the README's picture of a report: its first screen, and the chart of users and verdicts.

`.venv/bin/python -m tests.capacity.report_picture report` reads `report/report.json` and writes
`capacity/example-report.png`; a second argument names another file.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from playwright.sync_api import sync_playwright

from capacity.record.report import read_report
from tests.capacity.pages import render_html
from tests.tables import ROOT
from tests.web.fixtures import CHROMIUM, FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURE: Final = ROOT / "capacity" / "example-report.png"
WIDTH: Final = 860
_REST: Final = "nav, section:not(#measurements), #measurements figure + figure { display: none }"
"""What the picture omits."""


def take_picture(browser: Browser, page_file: Path) -> bytes:
    """Return the picture of a report's page as PNG, in light colours."""
    with browser.new_context(viewport={"width": WIDTH, "height": 800}, color_scheme="light") as context:
        page = context.new_page()
        page.goto(page_file.as_uri())
        page.add_style_tag(content=_REST)
        return page.locator("main").screenshot()


def main(folder: Path, picture: Path = PICTURE) -> None:
    """Write the picture of the report in a folder."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        page_file = Path(place) / "report.html"
        page_file.write_text(render_html(read_report(folder / "report.json")))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium") or CHROMIUM, args=list(FLAGS))
        picture.write_bytes(take_picture(browser, page_file))
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
