"""Draw a preview of a dashboard from the answers of a real Prometheus."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from tests.grafana.grafana_units import written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from tests.grafana.recorded_queries import Line

_PAGE, _PANEL, _EDGE, _INK, _MUTED, _GRID = "#111217", "#1b1d22", "#2a2d34", "#d5d6de", "#9a9ca8", "#2c2f36"
_NAMED: Final = {"green": "#73bf69", "yellow": "#f2cc0c", "red": "#f2495c", "blue": "#5794f2", "orange": "#ff9830"}
_PALETTE: Final = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#56a64b", "#c4a000")
_COLUMN, _ROW, _GAP, _HEAD, _TITLE, _LEGEND_LINE = 58, 34, 8, 74, 30, 15
_DPI: Final = 100
_COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class PreviewData:
    """The data of a preview: series by panel and query, test runs, starts of alerts; times are Unix seconds."""

    start: float
    end: float
    lines: Mapping[int, Mapping[str, Sequence[Line]]]
    runs: Sequence[Line]
    alerts: Sequence[Line]


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    color: str
    dashed: bool
    points: tuple[tuple[float, float], ...]


def draw(board: Mapping[str, Any], answered: PreviewData) -> bytes:
    """Return the dashboard as a PNG."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    width, height = _COLUMNS * _COLUMN + 2 * _GAP, rows * _ROW + _HEAD + _GAP
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAGE)
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 7.5, "text.parse_math": False}):
        canvas = _Canvas(figure, width, height, answered)
        canvas.head(board)
        for panel in board["panels"]:
            canvas.panel(panel)
        made = io.BytesIO()
        figure.savefig(made, format="png", facecolor=_PAGE)
    # A palette is a third of the size, without a visible difference.
    small = io.BytesIO()
    Image.open(made).convert("RGB").quantize(160, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


class _Canvas:
    """A figure with pixel coordinates from the upper left corner."""

    def __init__(self, figure: Figure, width: int, height: int, answered: PreviewData) -> None:
        self._figure = figure
        self._width = width
        self._height = height
        self._answered = answered

    def head(self, board: Mapping[str, Any]) -> None:
        self._text(_GAP + 4, 22, board["title"], size=14, weight="bold")
        self._text(_GAP + 4, 46, board["description"], color=_MUTED, size=9)
        names = " ".join(
            f"{one['label']}: {'All' if 'allValue' in one else 'Stampede'}   " for one in _variables(board)
        )
        self._text(_GAP + 4, 64, names, color=_MUTED)
        tag = "PREVIEW drawn from a real run's answers, not a Grafana screenshot"
        self._text(self._width - _GAP - 4, 22, tag, color=_NAMED["orange"], align="right", size=9)
        self._text(self._width - _GAP - 4, 46, "shaded: a load test runs", color=_MUTED, align="right", size=9)
        fired = sorted({line.labels["alertname"] for line in self._answered.alerts})
        text = f"red marks: alerts begin to fire ({', '.join(fired)})" if fired else "no alert fired"
        self._text(self._width - _GAP - 4, 64, text, color=_MUTED, align="right")

    def panel(self, panel: Mapping[str, Any]) -> None:
        at = panel["gridPos"]
        left, top = at["x"] * _COLUMN + _GAP, at["y"] * _ROW + _HEAD
        width, height = at["w"] * _COLUMN - _GAP, at["h"] * _ROW - _GAP
        if panel["type"] == "row":
            self._text(left + 4, top + 15, "▾ " + panel["title"], size=9.5, weight="bold")
            return
        frame = Rectangle(
            (left / self._width, 1 - (top + height) / self._height), width / self._width, height / self._height,
            facecolor=_PANEL, edgecolor=_EDGE, linewidth=0.8, zorder=-1, transform=self._figure.transFigure,
        )  # fmt: skip
        self._figure.add_artist(frame)
        self._text(left + 8, top + 14, panel["title"], size=8.5, weight="bold")
        draw_one = {"stat": self._stat, "timeseries": self._lines, "heatmap": self._heat, "table": self._table}
        draw_one[panel["type"]](panel, left, top, width, height)

    def _text(self, x: float, y: float, text: str, *, color: str = _INK, size: float = 7.5, align: str = "left",
              weight: str = "normal") -> None:  # fmt: skip
        self._figure.text(
            x / self._width, 1 - y / self._height, text, color=color, fontsize=size, ha=align, va="center",
            fontweight=weight,
        )  # fmt: skip

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        place = (left / self._width, 1 - (top + height) / self._height, width / self._width, height / self._height)
        axes = self._figure.add_axes(place, facecolor="none")
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_xlim(self._answered.start, self._answered.end)
        return axes

    def _clock(self, axes: Axes, width: float) -> None:
        axes.tick_params(length=0, colors=_MUTED, labelsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=max(2, int(width / 90)), steps=[1, 2, 5, 10]))
        start = self._answered.start
        step = 10 if width > 300 else 20
        axes.set_xticks([start + second for second in range(0, int(self._answered.end - start) + 1, step)])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"+{at - start:.0f} s"))

    # --- kinds of panels ---

    def _stat(self, panel: Mapping[str, Any], left: float, top: float, width: float, height: float) -> None:
        (line, *_) = self._answered.lines[panel["id"]]["A"]
        unit, value = panel["fieldConfig"]["defaults"]["unit"], line.points[-1][1]
        color = _reached(panel, value) if panel["options"]["colorMode"] == "value" else _INK
        if panel["options"]["graphMode"] == "area":
            axes = self._axes(left + 1, top + height * 0.62, width - 2, height * 0.38 - 1)
            axes.axis("off")
            xs, ys = zip(*line.points, strict=True)
            axes.fill_between(xs, ys, color=color, alpha=0.2, linewidth=0)
            axes.plot(xs, ys, color=color, linewidth=1)
            axes.set_ylim(0, (max(ys) or 1) * 1.05)
        shows_name = panel["options"]["textMode"] == "name"
        text = _named(panel, self._answered.lines[panel["id"]])[0].name if shows_name else written(value, unit)
        size = min(19, width * 0.95 / len(text))
        self._text(left + width / 2, top + height * 0.45, text, color=color, size=size, align="center", weight="bold")

    def _lines(self, panel: Mapping[str, Any], left: float, top: float, width: float, height: float) -> None:
        named = sorted(_named(panel, self._answered.lines[panel["id"]]), key=lambda one: -max(_values(one)))
        shown = named[: 4 if len(named) <= 4 else 3]
        legend = _LEGEND_LINE * (len(shown) + 1 + (len(shown) < len(named))) + 4
        axes = self._axes(left + 70, top + _TITLE, width - 86, height - _TITLE - legend - 24)
        unit, custom = panel["fieldConfig"]["defaults"]["unit"], panel["fieldConfig"]["defaults"]["custom"]
        floor: dict[float, float] = {}
        for one in reversed(named):
            xs = [at for at, _ in one.points]
            base = [floor.get(at, 0.0) for at in xs] if custom.get("stacking") else [0.0] * len(xs)
            ys = [low + value for low, (_, value) in zip(base, one.points, strict=True)]
            if custom.get("stacking"):
                floor |= dict(zip(xs, ys, strict=True))
            axes.fill_between(xs, base, ys, color=one.color, alpha=custom["fillOpacity"] / 100, linewidth=0)
            axes.plot(xs, ys, color=one.color, linewidth=1.5, linestyle=(0, (4, 2)) if one.dashed else "-")
        highest = max([*floor.values(), *(max(_values(one)) for one in named), custom.get("axisSoftMax", 0)])
        highest = highest or 1.0
        axes.set_ylim(0, highest * 1.08)
        for step in panel["fieldConfig"]["defaults"].get("thresholds", {"steps": []})["steps"][1:]:
            if step["value"] <= axes.get_ylim()[1]:
                axes.axhline(step["value"], color=_NAMED[step["color"]], linewidth=1, linestyle=(0, (6, 3)))
        scale = next((scale for scale in (2.0**30, 2.0**20, 2.0**10) if highest >= scale and unit.startswith("b")), 1.0)
        ticks = MaxNLocator(nbins=4, integer=unit == "short" and highest > 3).tick_values(0, highest / scale)
        axes.set_yticks([tick * scale for tick in ticks if tick * scale <= axes.get_ylim()[1]])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit)))
        axes.grid(visible=True, color=_GRID, linewidth=0.7)
        self._clock(axes, width)
        self._marks(axes)
        self._legend(named, len(shown), unit, (left, top + height - legend, width))

    def _legend(self, named: Sequence[_Named], rows: int, unit: str, place: tuple[float, float, float]) -> None:
        (left, top, width), shown, more = place, named[:rows], len(named) - rows
        columns = ("Mean", "Max", "Last") if width > 300 else ("Max", "Last")
        rights = [left + width - 10 - 70 * place for place in reversed(range(len(columns)))]
        for right, name in zip(rights, columns, strict=True):
            self._text(right, top + 6, name, color=_NAMED["blue"], align="right", size=7)
        room = int((rights[0] - 60 - left - 24) / 5.6)
        for number, one in enumerate(shown, 1):
            y = top + 6 + number * _LEGEND_LINE
            self._text(left + 8, y, "╍" if one.dashed else "━", color=one.color, size=8)
            self._text(left + 26, y, one.name if len(one.name) <= room else one.name[: room - 1] + "…")
            values = _values(one)
            calcs = {"Mean": sum(values) / len(values), "Max": max(values), "Last": values[-1]}
            for right, name in zip(rights, columns, strict=True):
                self._text(right, y, written(calcs[name], unit), align="right")
        if more:
            y = top + 6 + (len(shown) + 1) * _LEGEND_LINE
            self._text(left + 26, y, f"{more} more, smaller (scrolls)", color=_MUTED)

    def _heat(self, panel: Mapping[str, Any], left: float, top: float, width: float, height: float) -> None:
        bars = sorted(self._answered.lines[panel["id"]]["A"], key=lambda line: float(line.labels["le"]))
        times = sorted({at for line in bars for at, _ in line.points})
        below = dict.fromkeys(times, 0.0)
        cells = []
        for line in bars:
            here = dict(line.points)
            cells.append([max(here.get(at, 0.0) - below[at], 0.0) for at in times])
            below = {at: here.get(at, below[at]) for at in times}
        used = [number for number, row in enumerate(cells) if max(row) > 1e-9]
        low, high = max(min(used) - 1, 0), min(max(used) + 2, len(cells))
        axes = self._axes(left + 70, top + _TITLE, width - 86, height - _TITLE - 32)
        edges = [*times, times[-1] + 1]
        shown = [[value if value > 1e-9 else float("nan") for value in row] for row in cells[low:high]]
        axes.pcolormesh(edges, range(high - low + 1), shown, cmap="turbo", norm=PowerNorm(0.5, vmin=0), linewidth=0)
        unit = panel["options"]["yAxis"]["unit"]
        names = [line.labels["le"] for line in bars[low:high]]
        axes.set_yticks([number + 1 for number in range(high - low)])
        axes.set_yticklabels(["∞" if name == "+Inf" else written(float(name), unit) for name in names])
        self._clock(axes, width)
        self._marks(axes)

    def _table(self, panel: Mapping[str, Any], left: float, top: float, width: float, height: float) -> None:
        renamed, hidden = _organized(panel)
        answers = self._answered.lines[panel["id"]]
        labels = sorted({name for lines in answers.values() for line in lines for name in line.labels} - set(hidden))
        several = len(panel["targets"]) > 1
        columns = {renamed[f"Value #{ref}" if several else "Value"]: ref for ref in answers}
        rows = sorted(
            {tuple(line.labels.get(name, "") for name in labels) for lines in answers.values() for line in lines}
        )
        found = {
            (ref, tuple(line.labels.get(name, "") for name in labels)): line.points[-1][1]
            for ref, lines in answers.items() for line in lines
        }  # fmt: skip
        units = _units(panel)
        wide = (width - 20) / (len(labels) + len(columns))
        for number, name in enumerate([*labels, *columns]):
            x = left + 10 + number * wide
            self._text(x, top + _TITLE + 8, name, color=_NAMED["blue"], size=8)
            for line, row in enumerate(rows[: int((height - _TITLE - 24) / 24)]):
                y = top + _TITLE + 32 + line * 24
                if number < len(labels):
                    self._text(x, y, row[number], size=8)
                elif (columns[name], row) in found:
                    unit = units.get(name, panel["fieldConfig"]["defaults"]["unit"])
                    self._text(x, y, written(found[columns[name], row], unit), size=8)

    def _marks(self, axes: Axes) -> None:
        for line in self._answered.runs:
            running = [at for at, value in line.points if value > 0]
            if running:
                axes.axvspan(min(running), max(running), color=_NAMED["blue"], alpha=0.07, linewidth=0, zorder=0)
        for line in self._answered.alerts:
            axes.axvline(line.points[0][0], color=_NAMED["red"], linewidth=1, linestyle=(0, (1, 2)), zorder=1)
            axes.plot([line.points[0][0]], [axes.get_ylim()[0]], marker="^", color=_NAMED["red"], markersize=5,
                      clip_on=False)  # fmt: skip


def _variables(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(board["templating"]["list"])


def _values(one: _Named) -> list[float]:
    return [value for _, value in one.points]


def _reached(panel: Mapping[str, Any], value: float) -> str:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return _NAMED[[step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]]


def _named(panel: Mapping[str, Any], answers: Mapping[str, Sequence[Line]]) -> list[_Named]:
    """Return the panel's series with their legends, colours and dashes."""
    looks = {
        override["matcher"]["options"]: {one["id"]: one["value"] for one in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
    found: list[_Named] = []
    for target in panel["targets"]:
        look = looks.get(target["refId"], {})
        for line in answers[target["refId"]]:
            name = target["legendFormat"]
            for label, value in line.labels.items():
                name = name.replace(f"{{{{{label}}}}}", value)
            fixed = look.get("color", {}).get("fixedColor")
            color = _NAMED.get(fixed, fixed) or _PALETTE[len(found) % len(_PALETTE)]
            found.append(_Named(name, color, "custom.lineStyle" in look, line.points))
    return found


def _organized(panel: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    (options,) = (one["options"] for one in panel["transformations"] if one["id"] == "organize")
    return options["renameByName"], [name for name, out in options["excludeByName"].items() if out]


def _units(panel: Mapping[str, Any]) -> dict[str, str]:
    return {
        override["matcher"]["options"]: override["properties"][0]["value"]
        for override in panel["fieldConfig"]["overrides"]
    }
