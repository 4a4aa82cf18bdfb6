"""The rows of a comparison: each figure on both sides, and whether its difference is noise. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from capacity.report.noise import Noise, noise_of_one_pair, noise_of_pairs, ratio_interval
from capacity.report.run_figures import FigureKind, RunFigure, figures_of, side_text, verdicts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capacity.record.report import RunReport
    from capacity.record.step import Verdict

_MIN_CHANGE: Final = 0.01
_LARGEST_RATIO: Final = 999


@dataclass(frozen=True, slots=True)
class Row:
    """One figure on both sides: medians, and the median ratio of the pairs.

    Attributes:
        change: 'worse', 'better', or '' for an insignificant difference.
        decides: whether the change is decisive.
        interval: 95 % interval of the mean ratio; None for a single pair.
        noise: whether the change is larger than the spread; None without a change, and if that is not known of pairs.
    """

    name: str
    before: str
    after: str
    ratio: float | None
    change: str
    decides: bool = False
    interval: tuple[float, float] | None = None
    noise: Noise | None = None

    @property
    def is_noise(self) -> bool:
        """Whether the change is within the spread."""
        return self.noise is Noise.WITHIN

    @property
    def ratio_text(self) -> str:
        """The ratio, such as `1.20`; empty if it is unknown."""
        return "" if self.ratio is None else _ratio(self.ratio)

    @property
    def interval_text(self) -> str:
        """The interval, such as `1.15 to 1.26`; empty if it is unknown."""
        return "" if self.interval is None else f"{_ratio(self.interval[0])} to {_ratio(self.interval[1])}"


def _ratio(value: float) -> str:
    """Format a ratio in at most four characters."""
    if value > _LARGEST_RATIO:
        return f">{_LARGEST_RATIO}"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def comparison_rows(before: Sequence[RunReport], after: Sequence[RunReport], tolerance: float) -> Iterator[Row]:
    """Yield the verdicts that changed and the figures that both runs of some pair have, by level."""
    sides = [[_Run.of(report) for report in side] for side in (before, after)]
    groups = [run.groups for side in sides for run in side]
    for group in groups[0]:
        if all(group in others for others in groups):
            yield from _verdict_row(group, *sides)
            for name in dict.fromkeys(name for side in sides for run in side for name in run.names(group)):
                yield from _figure_row(name, *sides, tolerance=tolerance)


@dataclass(frozen=True, slots=True)
class _Run:
    """The figures by name and the verdicts by group of a run."""

    figures: dict[str, RunFigure]
    verdicts: dict[str, Verdict]

    @classmethod
    def of(cls, report: RunReport) -> _Run:
        return cls({one.name: one for one in figures_of(report)}, verdicts_of(report))

    @property
    def groups(self) -> list[str]:
        """The whole run, and its levels."""
        return ["", *self.verdicts]

    def names(self, group: str) -> list[str]:
        return [name for name, one in self.figures.items() if one.group == group]


def _verdict_row(group: str, before: Sequence[_Run], after: Sequence[_Run]) -> Iterator[Row]:
    """Yield the verdict on a level if most runs of a side passed, and most of the other failed."""
    if not group:
        return
    was, now = ([run.verdicts[group] for run in side] for side in (before, after))
    lost = _most(was, "pass") and _most(now, "fail")
    gained = _most(was, "fail") and _most(now, "pass")
    if lost or gained:
        noise = Noise.UNKNOWN if len(before) == 1 else None
        change = "worse" if lost else "better"
        yield Row(f"{group}: verdict", _format_verdicts(was), _format_verdicts(now), None, change, lost, noise=noise)


def _most(verdicts: Sequence[str], one: str) -> bool:
    return verdicts.count(one) > len(verdicts) / 2


def _format_verdicts(verdicts: Sequence[str]) -> str:
    """Format the verdicts of a side: the verdict, or the number of each, e.g. '2 pass, 1 fail'."""
    if len(verdicts) == 1:
        return verdicts[0]
    return ", ".join(f"{verdicts.count(one)} {one}" for one in ("pass", "fail", "invalid") if one in verdicts)


def _figure_row(name: str, before: Sequence[_Run], after: Sequence[_Run], *, tolerance: float) -> Iterator[Row]:
    pairs = [
        (one.figures[name], two.figures[name])
        for one, two in zip(before, after, strict=True)
        if name in one.figures and name in two.figures
    ]
    if not pairs:
        return
    kind = pairs[0][0].kind
    was, now = ([pair[i] for pair in pairs] for i in (0, 1))
    ratios = [two.value / one.value for one, two in pairs] if all(one.value for one in was) else []
    ratio = median(ratios) if ratios else None
    change = _change(kind, median(one.value for one in was), median(one.value for one in now), ratio)
    apart = _are_apart(pairs) if kind.is_interval else True
    beyond = ratio is not None and (ratio < 1 - tolerance if kind.more_is_better else ratio > 1 + tolerance)
    interval = ratio_interval(ratios)
    yield Row(
        name, side_text(was), side_text(now), ratio, change,
        decides=kind.decides and beyond and apart,
        interval=interval,
        noise=_noise(pairs, interval, apart=apart) if change else None,
    )  # fmt: skip


def _change(kind: FigureKind, before: float, after: float, ratio: float | None) -> str:
    if abs(after - before) < kind.min_difference or after == before:
        return ""
    if ratio is not None and abs(ratio - 1) < _MIN_CHANGE:
        return ""
    is_more = after > before if ratio is None else ratio > 1
    return "better" if is_more == kind.more_is_better else "worse"


def _are_apart(pairs: Sequence[tuple[RunFigure, RunFigure]]) -> bool:
    """Return whether the intervals of no pair overlap, all on the same side: otherwise both may have one limit."""
    lower = all(two.measured[1] <= one.measured[0] for one, two in pairs)
    return lower or all(one.measured[1] <= two.measured[0] for one, two in pairs)


def _noise(
    pairs: Sequence[tuple[RunFigure, RunFigure]], interval: tuple[float, float] | None, *, apart: bool
) -> Noise | None:
    if not apart:
        return Noise.WITHIN
    if interval is not None:
        return noise_of_pairs(interval)
    return noise_of_one_pair(pairs[0][0].measured, pairs[0][1].measured) if len(pairs) == 1 else None
