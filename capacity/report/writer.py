"""Write the report of a run: `report.json` for programs, `report.html` for people, flame graphs and charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from capacity.report.html import profile_pictures, report_charts, report_page

if TYPE_CHECKING:
    from pathlib import Path

    from capacity.record.report import RunReport


PROFILE_FILES: Final = ("profile-passing.svg", "profile-failing.svg")


def write_report(report: RunReport, folder: Path, *, pictures: bool = False) -> None:
    """Write the report with its flame graphs into `folder`, and with `pictures` its charts as PNG.

    Each file is replaced as a whole.
    """
    write_json(report, folder)
    charts = report_charts(report)
    replace_file(folder / "report.html", report_page(report, charts).encode())
    flames = profile_pictures(report)
    for name in PROFILE_FILES:
        if name in flames:
            replace_file(folder / name, flames[name].encode())
        else:  # of an earlier run
            (folder / name).unlink(missing_ok=True)
    if not pictures:
        return
    if charts:
        (folder / "charts").mkdir(exist_ok=True)
    for chart in charts:
        replace_file(folder / "charts" / f"{chart.key}.png", chart.png())


def write_json(report: RunReport, folder: Path) -> None:
    """Write `report.json` into `folder`."""
    replace_file(folder / "report.json", msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it: readers never read an incomplete file."""
    partial = path.with_suffix(path.suffix + ".part")
    partial.write_bytes(content)
    partial.replace(path)
