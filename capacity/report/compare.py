"""Compare runs before and after a change: which figures are worse or better, and which are decisive. Pure.

Several runs of each side are paired in order (before 1 with after 1, ...). The runs of a pair are made close in time
on one machine, so that a disturbance affects both; the median of the pairs' ratios counts.

Decisive (exit code 99) are the capacity, a level that passed and now fails, and server CPU per delivery at levels that
both sides measured. Latency is listed but never decisive: on a shared machine it varies by more than any sensible
tolerance. Use SLOs to bound it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from capacity.errors import UsageError
from capacity.formatting import about, count, figure, format_ms, listing
from capacity.report.question import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from capacity.record.report import RunReport
    from capacity.record.step import StepRecord

_MIN_MS: Final = 2.0
_MIN_CHANGE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """One figure on both sides: medians, and the median ratio of the pairs.

    `change` is 'worse', 'better', or '' for an insignificant difference; `decides`: whether it is decisive.
    """

    name: str
    before: str
    after: str
    ratio: float | None
    change: str
    decides: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison.

    Attributes:
        flags: reasons for doubt.
        worse: the decisive changes for the worse.
        unjudged: why these runs cannot be judged; empty if they can.
    """

    rows: tuple[Row, ...]
    flags: tuple[str, ...]
    worse: tuple[str, ...]
    unjudged: str = ""


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    field: str
    show: Callable[[float], str]
    decides: bool = False
    min_difference: float = 0.0


_FIGURES: Final = (
    _Figure("mean latency", "deliver_mean_ms", format_ms, min_difference=_MIN_MS),
    _Figure("p50", "deliver_p50_ms", format_ms, min_difference=_MIN_MS),
    _Figure("p99", "deliver_p99_ms", format_ms, min_difference=_MIN_MS),
    _Figure("server CPU per delivery", "", lambda us: f"{figure(us)} us", decides=True),
)


def compare(before: Sequence[RunReport], after: Sequence[RunReport], tolerance: float) -> Comparison:
    """Compare runs; `tolerance` is the fraction by which the later side may be worse.

    Raises:
        UsageError: the runs answer different questions, or are not pairs.
    """
    if len(before) != len(after):
        raise UsageError(f"{len(before)} runs before and {len(after)} after are not pairs: give the same number")
    runs = [*before, *after]
    _check_comparable(runs)
    rows = list(_capacity(before, after, tolerance))
    for users in _common_levels(runs):
        rows.extend(_level(users, before, after, tolerance))
    if not rows:
        raise UsageError("the runs have no common level and no common answer: use the same --bounded or --steps")
    worse = tuple(f"{row.name}: {row.before} before, {row.after} after" for row in rows if row.decides)
    return Comparison(tuple(rows), tuple(_flags(runs)), worse, _unjudged(runs))


def _unjudged(runs: Sequence[RunReport]) -> str:
    """Return why the runs differ by noise alone: both are of one revision without local changes."""
    revisions = {run.environment.revision for run in runs}
    revision = runs[0].environment.revision
    if len(runs) > 2 or len(revisions) > 1 or revision is None or revision.endswith("-dirty"):
        return ""
    return f"both runs are of revision {revision}, so their difference is noise"


def _check_comparable(runs: Sequence[RunReport]) -> None:
    if any(run.drill is not None for run in runs):
        raise UsageError("one of the reports is of a drill, which has no capacity to compare")
    for other in runs[1:]:
        if different := difference(runs[0], other):
            raise UsageError(f"{different}; compare runs of the same question")


def _flags(runs: Sequence[RunReport]) -> Iterator[str]:
    first = runs[0].environment
    if len(runs) == 2:
        yield "one pair of runs: noise alone can exceed the tolerance; compare at least three pairs (A1,A2,A3 B1,B2,B3)"
    machines = {(run.environment.host, run.environment.cpu_model, run.environment.cores) for run in runs}
    if len(machines) > 1:
        yield "different machines: the difference may be theirs"
    if len({(run.environment.python, *sorted(run.environment.libraries.items())) for run in runs}) > 1:
        yield "different versions of Python or of a library"
    contents = {str(run.settings["locustfile_hash"]): None for run in runs if run.settings.get("locustfile_hash")}
    if len(contents) > 1:
        yield f"the content of the locustfile differs: SHA-256 {listing(list(contents))}"
    if len({tuple(run.environment.server_cores or ()) for run in runs}) > 1:
        yield "the server was pinned differently"
    if any(run.status == "partial" for run in runs):
        yield "a run was interrupted"
    if any(run.answer.disturbance for run in runs):
        yield "the machine was not quiet in every run"
    if first.revision is not None and len({run.environment.revision for run in runs}) == 1:
        yield f"all runs are of revision {first.revision}"


def _capacity(before: Sequence[RunReport], after: Sequence[RunReport], tolerance: float) -> Iterator[Row]:
    pairs = [
        (one.answer.supported_users, two.answer.supported_users)
        for one, two in zip(before, after, strict=True)
        if one.answer.supported_users and two.answer.supported_users and not (one.settings.get("bounded"))
    ]
    if not pairs:
        return
    ratio = median(b / a for a, b in pairs)
    # If the intervals overlap, the same limit may lie in both.
    apart = all(
        two.answer.first_failing_users is not None
        and one.answer.supported_users is not None
        and two.answer.first_failing_users <= one.answer.supported_users
        for one, two in zip(before, after, strict=True)
    )
    change = _change(ratio, more_is_better=True)
    decides = ratio < 1 - tolerance and apart
    yield Row(
        "capacity, users", _interval(before), _interval(after), ratio, change if apart or ratio > 1 else "", decides
    )


def _interval(runs: Sequence[RunReport]) -> str:
    low = median(run.answer.supported_users or 0 for run in runs)
    highs = [run.answer.first_failing_users for run in runs if run.answer.first_failing_users is not None]
    if len(highs) < len(runs):
        return f"at least {about(low)}"
    return f"{about(low)} to {about(median(highs))}"


def _common_levels(runs: Sequence[RunReport]) -> list[int]:
    levels = [{step.users for step in run.steps if step.window_s is not None} for run in runs]
    return sorted(set.intersection(*levels))


def _level(users: int, before: Sequence[RunReport], after: Sequence[RunReport], tolerance: float) -> Iterator[Row]:
    verdicts = [_verdict(run, users) for run in before], [_verdict(run, users) for run in after]
    held, holds = (sum(verdict == "pass" for verdict in side) for side in verdicts)
    fails = sum(verdict == "fail" for verdict in verdicts[1])
    lost = held > len(before) / 2 and fails > len(after) / 2
    gained = holds > len(after) / 2 and sum(verdict == "fail" for verdict in verdicts[0]) > len(before) / 2
    if lost or gained:
        change = "worse" if lost else "better"
        was, now = (_format_verdicts(side) for side in verdicts)
        yield Row(f"{count(users)} users: verdict", was, now, None, change, lost)
    for one in _FIGURES:
        pairs = [
            (a, b)
            for earlier, later in zip(before, after, strict=True)
            if (a := _value(earlier, users, one)) and (b := _value(later, users, one)) is not None
        ]
        if not pairs:
            continue
        a, b = (median(side) for side in zip(*pairs, strict=True))
        ratio = median(y / x for x, y in pairs)
        change = _change(ratio, more_is_better=False) if abs(b - a) >= one.min_difference else ""
        yield Row(
            f"{count(users)} users: {one.name}", one.show(a), one.show(b), ratio, change,
            one.decides and ratio > 1 + tolerance,
        )  # fmt: skip


def _format_verdicts(verdicts: Sequence[str]) -> str:
    """Format the verdicts of a side: the verdict, or the number of each, e.g. '2 pass, 1 fail'."""
    if len(verdicts) == 1:
        return verdicts[0]
    return ", ".join(f"{verdicts.count(one)} {one}" for one in ("pass", "fail", "invalid") if one in verdicts)


def _verdict(run: RunReport, users: int) -> str:
    return [step.verdict for step in run.steps if step.users == users][-1]


def _value(run: RunReport, users: int, figure: _Figure) -> float | None:
    """Return the median of a figure over the valid steps of a run at a level."""
    steps = [step for step in run.steps if step.users == users and step.verdict != "invalid"]
    values = [_per_delivery(step) if not figure.field else getattr(step, figure.field) for step in steps]
    known = [float(value) for value in values if value is not None]
    return median(known) if known else None


def _per_delivery(step: StepRecord) -> float | None:
    """Return microseconds of server CPU per delivery, the most stable figure on a noisy machine."""
    if step.server_cpu is None or not step.delivered_per_s:
        return None
    return step.server_cpu / step.delivered_per_s * 1e6


def _change(ratio: float, *, more_is_better: bool) -> str:
    if abs(ratio - 1) < _MIN_CHANGE:
        return ""
    return "better" if (ratio > 1) == more_is_better else "worse"
