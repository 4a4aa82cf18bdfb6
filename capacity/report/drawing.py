"""Draw charts as inline SVG (wide, and narrow for phones; for light and dark mode), or as PNG.

For SVG, matplotlib draws with placeholder colours, which are then replaced by CSS variables of the page. Verdicts
differ in shape and series in dash, so that no information depends on colour. Text stays text, and ids are unique per
drawing.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from capacity.formatting import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

_POINTS_PER_INCH: Final = 72
_PNG_DPI: Final = 144
DASHED: Final = (0, (2, 2))
DOTTED: Final = (0, (1, 2))
BROKEN: Final = (0, (6, 3))


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by role; on the page each is the CSS variable of that name."""

    ink: str
    muted: str
    grid: str
    passed: str
    fail: str
    invalid: str
    first: str
    second: str
    third: str
    paper: str


# Colours that no drawing has by accident.
_PLACEHOLDERS: Final = Palette(*(f"#0{i:x}0{i:x}0{i:x}" for i in range(1, 11)))
_PRINTED: Final = Palette(
    ink="#1c1b1a", muted="#67635d", grid="#e4e0d8", passed="#18794e", fail="#c4321c", invalid="#94690a",
    first="#2456c7", second="#8a4fb0", third="#a0620a", paper="#ffffff",
)  # fmt: skip
_CSS: Final = {"passed": "pass"}


@dataclass(frozen=True, slots=True)
class ChartSize:
    """Size of a drawing in CSS pixels, and its text size in points."""

    name: str
    width: int
    height: int
    text: float


WIDE: Final = ChartSize("wide", 860, 340, 12.5)
NARROW: Final = ChartSize("narrow", 344, 300, 11.5)


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws in one size with one palette."""

    size: ChartSize
    palette: Palette

    @property
    def is_wide(self) -> bool:
        """Whether panels fit side by side."""
        return self.size is WIDE

    def style(self, axes: Axes, *, x: str, y: str) -> None:
        """Set the titles of axes, and the style of the page."""
        muted, grid = self.palette.muted, self.palette.grid
        axes.set_xlabel(x, color=muted)
        # A horizontal label above the axis is easier to read, and takes no width on a phone.
        axes.set_title(y, loc="left", color=muted, fontsize=self.size.text)
        axes.tick_params(which="both", colors=muted, length=0, pad=5)
        axes.grid(visible=True, axis="y", color=grid, linewidth=1)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(grid)
        axes.patch.set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(round(value))))

    def whole_numbers(self, axes: Axes) -> None:
        """Start the y axis at zero, with few ticks at integers."""
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: count(round(value))))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))

    def legend(self, axes: Axes) -> None:
        """Place the legend beside the axis label if both fit, otherwise below it."""
        handles = axes.get_legend_handles_labels()[0]
        rows = 1 if len(handles) <= 3 else 2
        if not self.is_wide:
            title = axes.get_title("left")
            axes.set_title(title, loc="left", color=self.palette.muted, fontsize=self.size.text, pad=8 + 18 * rows)
        axes.legend(
            loc="lower right" if self.is_wide else "lower left",
            bbox_to_anchor=(1.0, 1.0) if self.is_wide else (-0.02, 1.0),
            ncols=len(handles) if self.is_wide or rows == 1 else 2,
            frameon=False,
            labelcolor=self.palette.ink,
            handlelength=1.6,
            columnspacing=1.2,
            handletextpad=0.5,
            borderaxespad=0.2,
        )

    def colour(self, verdict: str) -> str:
        """Return the colour of a verdict."""
        return {"pass": self.palette.passed, "fail": self.palette.fail}.get(verdict, self.palette.invalid)

    def mark(self, axes: Axes, x: float, y: float, verdict: str, *, size: float = 7) -> None:
        """Draw the mark of a verdict at a point."""
        axes.plot([x], [y], markersize=size, zorder=5, clip_on=False, **self._marker(verdict))  # type: ignore[arg-type]

    def add_to_legend(self, axes: Axes, verdict: str) -> None:
        """Add the mark of a verdict to the legend."""
        axes.plot([], [], markersize=7, label=verdict, **self._marker(verdict))  # type: ignore[arg-type]

    def _marker(self, verdict: str) -> dict[str, object]:
        colour = self.colour(verdict)
        return {
            "marker": {"pass": "o", "fail": "v"}.get(verdict, "s"),
            "markerfacecolor": colour if verdict in ("pass", "fail") else self.palette.paper,
            "markeredgecolor": colour,
            "markeredgewidth": 1.6,
            "linestyle": "none",
        }

    def threshold(self, axes: Axes, value: float, text: str = "") -> None:
        """Draw the line of a threshold, with its text."""
        fail = self.palette.fail
        axes.axhline(value, color=fail, linewidth=1.4, linestyle=BROKEN)
        axes.annotate(text, (0, value), xytext=(4, 4), textcoords="offset points", color=fail, va="bottom")

    def panels(self, figure: Figure, number: int) -> list[Axes]:
        """Return panels side by side, or one below the other on a narrow chart."""
        if self.is_wide:
            return list(figure.subplots(1, number))
        figure.set_figheight(figure.get_figheight() * number)
        return list(figure.subplots(number, 1))


def svgs(draw: Callable[[Figure, Pen], None], key: str, title: str, description: str) -> tuple[str, ...]:
    """Return a drawing as SVG elements, one for each size; `description` is the text alternative."""
    found = []
    for size in (WIDE, NARROW):
        # The salt makes matplotlib's ids reproducible, and text stays text.
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key, "font.size": size.text}):
            page = io.StringIO()
            figure = _drawn(draw, Pen(size, _PLACEHOLDERS))
            FigureCanvasSVG(figure)  # measures the texts for the layout
            ConstrainedLayoutEngine().execute(figure)  # as the figure's own engine it would cost a second drawing
            figure.savefig(page, format="svg", transparent=True, metadata={"Date": None})
        found.append(_inline(page.getvalue(), f"{key}-{size.name}", title, description))
    return tuple(found)


def png(draw: Callable[[Figure, Pen], None], title: str) -> bytes:
    """Return a drawing as PNG: wide, on white, with its title."""
    with mpl.rc_context({"font.size": WIDE.text}):
        figure = _drawn(draw, Pen(WIDE, _PRINTED))
        figure.set_layout_engine("constrained")
        figure.suptitle(title, x=0.01, ha="left", color=_PRINTED.ink, fontsize=WIDE.text * 1.2, fontweight="bold")
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=_PNG_DPI, facecolor=_PRINTED.paper, metadata={"Title": title})
    return content.getvalue()


def _drawn(draw: Callable[[Figure, Pen], None], pen: Pen) -> Figure:
    inches = (pen.size.width / _POINTS_PER_INCH, pen.size.height / _POINTS_PER_INCH)
    figure = Figure(figsize=inches)
    draw(figure, pen)
    return figure


def _inline(svg: str, prefix: str, title: str, description: str) -> str:
    """Convert matplotlib's file to an element of the page, with unique ids, CSS variables and a description."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid=")', rf"\1{prefix}-", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{prefix}-", svg)
    for part in fields(_PLACEHOLDERS):
        svg = svg.replace(getattr(_PLACEHOLDERS, part.name), f"var(--{_CSS.get(part.name, part.name)})")
    view = re.search(r'viewBox="[^"]*"', svg)
    labels = f'aria-labelledby="{prefix}-title {prefix}-description"'
    opening = (
        f'<svg class="{prefix.rpartition("-")[2]}" {view[0] if view else ""} role="img" {labels}>'
        f'<title id="{prefix}-title">{escape(title)}</title>'
        f'<desc id="{prefix}-description">{escape(description)}</desc>'
    )
    return opening + svg[svg.index(">") + 1 :].strip()
