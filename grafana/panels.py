"""The four kinds of panels, with shared units, colours, legends, thresholds and descriptions.

grafana-foundation-sdk 0.0.21 hides legends unless they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus
from grafana_foundation_sdk.builders import heatmap as heatmap_sdk
from grafana_foundation_sdk.builders import stat as stat_sdk
from grafana_foundation_sdk.builders import table as table_sdk
from grafana_foundation_sdk.builders import timeseries as timeseries_sdk
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = options.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED = "green", "yellow", "red"
BLUE, ORANGE, GREY = "blue", "orange", "#808893"

SECONDS, BYTES, SHARE, COUNT = "s", "bytes", "percentunit", "short"
BYTES_PER_SECOND, MESSAGES, EVENTS, REQUESTS = "binBps", "mps", "eps", "reqps"

Panel = timeseries_sdk.Panel | stat_sdk.Panel | heatmap_sdk.Panel | table_sdk.Panel
_P = TypeVar("_P", timeseries_sdk.Panel, stat_sdk.Panel, heatmap_sdk.Panel, table_sdk.Panel)


@dataclass(frozen=True, slots=True)
class Description:
    """The three parts of a panel's description: its content, a bad state, and the remedy."""

    shows: str
    bad: str
    do: str

    def __str__(self) -> str:
        return f"{self.shows}\n\n**Bad:** {self.bad}\n\n**Do:** {self.do}"


@dataclass(frozen=True, slots=True)
class Series:
    """A query with its legend, and optionally a colour and a dashed line."""

    expr: str
    legend: str
    color: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The values at which a panel turns yellow and red."""

    warn: float | None
    bad: float | None

    def build(self) -> dashboard.ThresholdsConfig:
        """Return the thresholds, with green below the first."""
        steps = [model.Threshold(value=None, color=GREEN)]
        steps += [model.Threshold(value=self.warn, color=YELLOW)] if self.warn is not None else []
        steps += [model.Threshold(value=self.bad, color=RED)] if self.bad is not None else []
        return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def timeseries(
    title: str,
    description: Description,
    unit: str,
    *series: Series,
    width: int = 8,
    thresholds: Thresholds | None = None,
    stacked: bool = False,
    top: float | None = None,
) -> timeseries_sdk.Panel:
    """Return a time series panel with thresholds as dashed lines; its axis always reaches `top`."""
    legend = common.VizLegendOptions().show_legend(True).display_mode(options.LegendDisplayMode.TABLE)
    legend = legend.placement(options.LegendPlacement.BOTTOM).calcs(["mean", "max", "lastNotNull"])
    panel = timeseries_sdk.Panel().legend(legend.sort_by("Max").sort_desc(True)).height(9).span(width)
    panel.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    panel.line_width(1.5).fill_opacity(25 if stacked else 8).show_points(options.VisibilityMode.NEVER).min(0)
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if thresholds is not None:
        panel.thresholds(thresholds.build())
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED))
    if top is not None:
        panel.axis_soft_max(top)
    for ref, one in zip("ABCDEFGH", series, strict=False):
        panel.with_target(_target(ref, one))
        overrides = []
        if one.color:
            fixed = {"mode": "fixed", "fixedColor": one.color}
            overrides.append(model.DynamicConfigValue(id_val="color", value=fixed))
        if one.dashed:
            overrides.append(
                model.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 4]}),
            )
        if overrides:
            panel.override_by_query(ref, overrides)
    return _described(panel, title, description, unit)


def stat(
    title: str,
    description: Description,
    unit: str,
    expr: str,
    *,
    width: int = 3,
    thresholds: Thresholds | None = None,
    legend: str = "",
    instant: bool = False,
    shows_name: bool = False,
) -> stat_sdk.Panel:
    """Return a panel with one number, coloured by its thresholds, above a sparkline unless `instant`.

    With `shows_name`, the panel shows the legend in place of the number.
    """
    panel = stat_sdk.Panel().height(4).span(width)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.graph_mode(options.BigValueGraphMode.NONE if instant else options.BigValueGraphMode.AREA)
    panel.color_mode(options.BigValueColorMode.NONE if thresholds is None else options.BigValueColorMode.VALUE)
    panel.thresholds((thresholds or Thresholds(None, None)).build())
    if shows_name:
        panel.text_mode(options.BigValueTextMode.NAME)
    query = _target("A", Series(expr, legend or title))
    panel.with_target(query.instant() if instant else query)
    return _described(panel, title, description, unit)


def heatmap(
    title: str, description: Description, unit: str, expr: str, *, width: int = 8, cells: str = EVENTS
) -> heatmap_sdk.Panel:
    """Return a heatmap of a histogram's buckets."""
    panel = heatmap_sdk.Panel().height(9).span(width).calculate(False).cell_gap(1)
    panel.color(heatmap_sdk.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Turbo").steps(64).exponent(0.5))
    panel.filter_values(heatmap_sdk.FilterValueRange().le(1e-9)).show_legend()
    panel.y_axis(heatmap_sdk.YAxisConfig().unit(unit).axis_placement(options.AxisPlacement.LEFT))
    panel.cell_values(heatmap_sdk.CellValues().unit(cells))
    panel.tooltip(
        heatmap_sdk.HeatmapTooltip().mode(options.TooltipDisplayMode.SINGLE).y_histogram(True).show_color_scale(True)
    )
    panel.with_target(_target("A", Series(expr, "{{le}}")).format(PromQueryFormat.HEATMAP))
    return _described(panel, title, description, unit)


def table(
    title: str,
    description: Description,
    unit: str,
    *series: Series,
    width: int = 24,
    units: dict[str, str] | None = None,
) -> table_sdk.Panel:
    """Return a table of instant queries, joined by their labels; each query is a column named by its legend."""
    panel = table_sdk.Panel().height(9).span(width)
    names, out = {}, {"Time": True}
    for ref, one in zip("ABCDEFGH", series, strict=False):
        panel.with_target(_target(ref, one).instant().format(PromQueryFormat.TABLE))
        names[f"Value #{ref}" if len(series) > 1 else "Value"] = one.legend
        if units and one.legend in units:
            panel.override_by_name(one.legend, [model.DynamicConfigValue(id_val="unit", value=units[one.legend])])
    if len(series) > 1:
        panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    organize = {"excludeByName": out, "renameByName": names}
    panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=organize))
    return _described(panel, title, description, unit)


def _target(ref: str, series: Series) -> prometheus.Dataquery:
    query = prometheus.Dataquery().ref_id(ref).expr(series.expr).legend_format(series.legend)
    return query.datasource(DATASOURCE).range()


def _described(panel: _P, title: str, description: Description, unit: str) -> _P:
    panel.title(title).description(str(description)).unit(unit).datasource(DATASOURCE)
    return panel
