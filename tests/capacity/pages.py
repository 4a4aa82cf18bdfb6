"""Render the page of a report, as the writer of reports does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capacity.report.html import report_charts, report_page

if TYPE_CHECKING:
    from capacity.record.report import RunReport


def render_html(report: RunReport) -> str:
    """Return the page of a report."""
    return report_page(report, report_charts(report))
