"""Draw the comparison as one image that is legible on a phone: a panel for each row, a bar for each server."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure

from benchmarks.comparison.report import rows
from benchmarks.comparison.servers import OURS, SERVERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from benchmarks.comparison.results import Results
    from benchmarks.comparison.workloads import Row

_WIDTH: Final = 5.0
_COLUMNS: Final = 2
_BAR_HEIGHT: Final = 0.19
_DPI: Final = 150
_OURS: Final = "#1f6feb"
_OTHERS: Final = "#b4bcc6"
_INK: Final = "#24292f"


def draw(results: Mapping[str, Results]) -> bytes:
    """Return the image as PNG, with all rows in which another server was measured too."""
    shown = [(row, found) for row, found in rows(results) if row.chart and len(found.servers) > 1]
    servers = [key for key in SERVERS if any(key in found.servers for _, found in shown)]
    panel_rows = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(_WIDTH, max(panel_rows, 1) * (len(servers) * _BAR_HEIGHT + 0.62)), layout="constrained")
    panels = figure.subplots(max(panel_rows, 1), _COLUMNS, squeeze=False, sharey=True)
    for panel in panels.flat[len(shown) :]:
        panel.set_axis_off()
    for panel, (row, found) in zip(panels.flat, shown, strict=False):
        _draw_panel(panel, row, found, servers)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, facecolor="white")
    return file.getvalue()


def _draw_panel(panel: Axes, row: Row, found: Results, servers: list[str]) -> None:
    spreads = [found.spread(key, row.figure) for key in servers]
    values = [spread.middle * row.scale if spread else 0.0 for spread in spreads]
    panel.barh([SERVERS[key].title for key in servers], values, height=0.72, color=[_color(key) for key in servers])
    for place, (key, spread) in enumerate(zip(servers, spreads, strict=True)):
        text = _short(spread.middle * row.scale) if spread else "-"
        weight = "bold" if key == OURS else "normal"
        panel.annotate(
            text, (values[place], place), (3, 0), textcoords="offset points", va="center", fontsize=7,
            color=_INK, fontweight=weight,
        )  # fmt: skip
    panel.set_title(f"{row.chart}\n{row.unit}{', less is better' if row.less else ''}", fontsize=7.5, loc="left")
    panel.set_ylim(len(servers) - 0.5, -0.6)
    panel.set_xlim(0, 1.3 * max(values, default=0) or 1)
    panel.set_xticks([])
    panel.tick_params(axis="y", length=0, labelsize=7)
    panel.spines[:].set_visible(False)


def _color(key: str) -> str:
    return _OURS if key == OURS else _OTHERS


def _short(value: float) -> str:
    """Return a figure with two or three significant digits."""
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{1 if value < 100 * size else 0}f} {sign}"
    return f"{value:.{1 if value < 100 else 0}f}"
