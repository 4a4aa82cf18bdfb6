"""What all panels share: units, colours, legends, thresholds, and a description in three parts.

grafana-foundation-sdk 0.0.21 hides legends unless they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = options.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED = "green", "yellow", "red"
BLUE, ORANGE, GREY = "blue", "orange", "#808893"

SECONDS, BYTES, SHARE, COUNT = "s", "bytes", "percentunit", "short"
BYTES_PER_SECOND, MESSAGES, EVENTS, REQUESTS = "binBps", "mps", "eps", "reqps"

Panel = timeseries.Panel | stat.Panel | heatmap.Panel | table.Panel
_P = TypeVar("_P", timeseries.Panel, stat.Panel, heatmap.Panel, table.Panel)


@dataclass(frozen=True, slots=True)
class About:
    """What a panel shows, what would be bad, and what to do then."""

    what: str
    bad: str
    do: str

    def __str__(self) -> str:
        return f"{self.what}\n\n**Bad:** {self.bad}\n\n**Do:** {self.do}"


@dataclass(frozen=True, slots=True)
class Series:
    """A query with its legend; a colour and dashes set it apart from its neighbours."""

    expr: str
    legend: str
    color: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """Values from which on something is worth a look, and from which on it is bad."""

    warn: float | None
    bad: float | None

    def build(self) -> dashboard.ThresholdsConfig:
        """Return them with green below."""
        steps = [model.Threshold(value=None, color=GREEN)]
        steps += [model.Threshold(value=self.warn, color=YELLOW)] if self.warn is not None else []
        steps += [model.Threshold(value=self.bad, color=RED)] if self.bad is not None else []
        return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def lines(
    title: str, about: About, unit: str, *series: Series, width: int = 8, steps: Steps | None = None,
    stacked: bool = False, top: float | None = None,
) -> timeseries.Panel:  # fmt: skip
    """Return a time series panel; steps are drawn as dashed lines, `top` is a ceiling that always shows."""
    legend = common.VizLegendOptions().show_legend(True).display_mode(options.LegendDisplayMode.TABLE)
    legend = legend.placement(options.LegendPlacement.BOTTOM).calcs(["mean", "max", "lastNotNull"])
    panel = timeseries.Panel().legend(legend.sort_by("Max").sort_desc(True)).height(9).span(width)
    panel.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    panel.line_width(1.5).fill_opacity(25 if stacked else 8).show_points(options.VisibilityMode.NEVER).min(0)
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if steps is not None:
        panel.thresholds(steps.build())
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED))
    if top is not None:
        panel.axis_soft_max(top)
    for ref, one in zip("ABCDEFGH", series, strict=False):
        panel.with_target(_target(ref, one))
        look = []
        if one.color:
            fixed = {"mode": "fixed", "fixedColor": one.color}
            look.append(model.DynamicConfigValue(id_val="color", value=fixed))
        if one.dashed:
            look.append(
                model.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 4]}),
            )
        if look:
            panel.override_by_query(ref, look)
    return _described(panel, title, about, unit)


def number(
    title: str, about: About, unit: str, expr: str, *, width: int = 3, steps: Steps | None = None,
    legend: str = "", instant: bool = False,
) -> stat.Panel:  # fmt: skip
    """Return one large number, coloured by its steps; over its own history unless it is asked for once."""
    panel = stat.Panel().height(4).span(width)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.graph_mode(options.BigValueGraphMode.NONE if instant else options.BigValueGraphMode.AREA)
    panel.color_mode(options.BigValueColorMode.NONE if steps is None else options.BigValueColorMode.VALUE)
    panel.thresholds((steps or Steps(None, None)).build())
    query = _target("A", Series(expr, legend or title))
    panel.with_target(query.instant() if instant else query)
    return _described(panel, title, about, unit)


def heat(title: str, about: About, unit: str, expr: str, *, width: int = 8, cells: str = EVENTS) -> heatmap.Panel:
    """Return a heatmap of a histogram's buckets."""
    panel = heatmap.Panel().height(9).span(width).calculate(False).cell_gap(1)
    panel.color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Turbo").steps(64).exponent(0.5))
    panel.filter_values(heatmap.FilterValueRange().le(1e-9)).show_legend()
    panel.y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(options.AxisPlacement.LEFT))
    panel.cell_values(heatmap.CellValues().unit(cells))
    panel.tooltip(
        heatmap.HeatmapTooltip().mode(options.TooltipDisplayMode.SINGLE).y_histogram(True).show_color_scale(True)
    )
    panel.with_target(_target("A", Series(expr, "{{le}}")).format(PromQueryFormat.HEATMAP))
    return _described(panel, title, about, unit)


def grid(
    title: str, about: About, unit: str, *series: Series, width: int = 24, hidden: tuple[str, ...] = (),
    units: dict[str, str] | None = None,
) -> table.Panel:  # fmt: skip
    """Return a table: queries asked once, joined by their labels, each a column named by its legend."""
    panel = table.Panel().height(9).span(width)
    names, out = {}, dict.fromkeys(("Time", *hidden), True)
    for ref, one in zip("ABCDEFGH", series, strict=False):
        panel.with_target(_target(ref, one).instant().format(PromQueryFormat.TABLE))
        names[f"Value #{ref}" if len(series) > 1 else "Value"] = one.legend
        if units and one.legend in units:
            panel.override_by_name(one.legend, [model.DynamicConfigValue(id_val="unit", value=units[one.legend])])
    if len(series) > 1:
        panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    organize = {"excludeByName": out, "renameByName": names}
    panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=organize))
    return _described(panel, title, about, unit)


def _target(ref: str, series: Series) -> prometheus.Dataquery:
    query = prometheus.Dataquery().ref_id(ref).expr(series.expr).legend_format(series.legend)
    return query.datasource(DATASOURCE).range()


def _described(panel: _P, title: str, about: About, unit: str) -> _P:
    panel.title(title).description(str(about)).unit(unit).datasource(DATASOURCE)
    return panel
