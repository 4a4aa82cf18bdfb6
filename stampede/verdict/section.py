"""The verdict of a run as a section of a web page: its texts and tables; pure.

The figures are formatted as in the summary on the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stampede.measure.formatting import format_clock, precise_ms
from stampede.measure.storm_results import COLUMNS, table
from stampede.verdict.request_lines import why_unmeasured
from stampede.verdict.summary import aggregated_notes, ledger_notes, offered_line, order_lines
from stampede.verdict.summary_data import reasons
from stampede.verdict.verdict_words import State, threshold_words, verdict_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stampede.measure.figures import Figures
    from stampede.measure.log_linear_histogram import LogLinearHistogram
    from stampede.measure.report import Totals
    from stampede.verdict.slo import Slo
    from stampede.verdict.summary import Circumstances, RunResult
    from stampede.verdict.thresholds import JudgedWindow, Threshold

QUANTILES: Final = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRow:
    """One threshold: what it demands, where it stands, and its windows."""

    expression: str
    state: State
    words: str
    windows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of texts: the titles of its columns, and its rows."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the section shows.

    Attributes:
        state: of the verdict.
        verdict: in few words.
        is_so_far: whether the run lasts.
        facts: users, length, dialect and scenario in one line.
        problems: why the run is invalid; `advice` says what to do about it.
        thresholds: in the order in which they were given.
        deliveries: the ledger; `delivery_notes` are further lines about it.
        latency: percentiles on both clocks; `latency_notes` says whose deliveries were timed.
        generator: percentiles of its lags; `generator_notes` are its CPU, memory and workers.
        storms: one row a storm.
        notes: further lines.
    """

    state: State
    verdict: str
    is_so_far: bool
    facts: str
    problems: Sequence[str]
    advice: Sequence[str]
    thresholds: Sequence[ThresholdRow]
    deliveries: Table
    delivery_notes: Sequence[str]
    latency: Table
    latency_notes: Sequence[str]
    generator: Table
    generator_notes: Sequence[str]
    storms: Table
    notes: Sequence[str]


def section(result: RunResult) -> Section:
    """Return the section about a run."""
    totals, circumstances = result.totals, result.circumstances
    figures, has_ended = totals.figures, circumstances.has_ended
    state, words = verdict_words(result)
    titles = [title for _, title in QUANTILES]
    return Section(
        state=state,
        verdict=words,
        is_so_far=not has_ended,
        facts=", ".join(_facts(circumstances)),
        problems=reasons(result),
        advice=result.advice,
        thresholds=[_threshold(one, result) for one in result.thresholds],
        deliveries=_deliveries(totals, has_ended=has_ended),
        delivery_notes=[offered_line(figures.sends), *ledger_notes(totals), *_order(totals)],
        latency=Table(
            titles=["", *titles],
            rows=[
                _quantiles("from intended send", figures.latency.intended),
                _quantiles("from actual send", figures.latency.sent),
                *_resync(figures),
            ],
        ),
        latency_notes=list(_timed(circumstances)),
        generator=Table(
            titles=["", *titles],
            rows=[_quantiles("send lag", figures.send_lag), _quantiles("loop lag", figures.loop_lag)],
        ),
        generator_notes=list(_generator(totals)),
        storms=Table(
            titles=[title for _, title, _ in COLUMNS],
            rows=[list(row.values()) for row in table(result.storms)],
        ),
        notes=[*result.notes, *aggregated_notes(figures)],
    )


def _facts(circumstances: Circumstances) -> Iterator[str]:
    if circumstances.users is not None:
        yield "1 user" if circumstances.users == 1 else f"{circumstances.users} users"
    if circumstances.seconds is not None:
        yield f"{format_clock(circumstances.seconds)} min"
    if circumstances.dialect:
        yield f"dialect {circumstances.dialect}"
    if circumstances.scenario:
        yield circumstances.scenario


def _threshold(threshold: Threshold, result: RunResult) -> ThresholdRow:
    has_ended = result.circumstances.has_ended
    state, words = threshold_words(threshold, has_ended=has_ended)
    return ThresholdRow(
        expression=threshold.slo.text,
        state=state,
        words=words,
        windows="; ".join(_windows(threshold, result)),
    )


def _windows(threshold: Threshold, result: RunResult) -> Iterator[str]:
    slo, worst, latest = threshold.slo, threshold.worst, threshold.latest
    has_ended = result.circumstances.has_ended
    if worst is None or latest is None:
        if has_ended:
            yield why_unmeasured(slo, result.totals.figures)
        else:
            yield f"a window takes {threshold.seconds:g} s and {slo.min_samples} samples"
        return
    if threshold.missed:
        yield f"missed in {threshold.missed} of {threshold.judged} windows"
    else:
        yield f"met in {threshold.judged} of {threshold.judged} windows"
    yield f"worst {_window(slo, worst)}"
    if not has_ended:
        yield f"latest {_window(slo, latest)}"


def _window(slo: Slo, window: JudgedWindow) -> str:
    return f"{slo.show(window.value)} ({format_clock(window.start)}-{format_clock(window.end)})"


def _deliveries(totals: Totals, *, has_ended: bool) -> Table:
    """Return the ledger; nothing of it is known if no process reported."""
    ledger = totals.figures.deliveries
    names = ["expected", "received", "lost", "duplicated", "reordered", *([] if has_ended else ["in flight"])]
    counts = [str(getattr(ledger, name.replace(" ", "_"))) if totals.reports else "-" for name in names]
    return Table(titles=["", *names], rows=[["deliveries", *counts]])


def _order(totals: Totals) -> Iterator[str]:
    for number, line in enumerate(order_lines(totals.figures.order, promised=totals.keeps_order)):
        yield line if number else f"order: {line}"


def _resync(figures: Figures) -> Iterator[list[str]]:
    if figures.resync.count:
        yield _quantiles(f"resync, {figures.resync.count} of {sum(figures.drops.values())} drops", figures.resync)


def _timed(circumstances: Circumstances) -> Iterator[str]:
    timed, users = circumstances.timed_users, circumstances.users
    if timed is not None and users is not None and timed < users:
        yield f"timed: the deliveries of {timed} of {users} users"


def _generator(totals: Totals) -> Iterator[str]:
    if totals.reports:
        busiest = max(report.cpu_share for report in totals.reports)
        memory = max(report.rss_bytes for report in totals.reports) / 2**20
        number = len(totals.reports)
        of = f"in each of {number} processes" if number > 1 else "in one process"
        yield f"CPU {busiest:.0%} of a core, memory {memory:.0f} MiB at most {of}"
    else:
        yield "no process has reported"
    if totals.dead:
        yield f"{len(totals.dead)} workers died: their figures are not included"


def _quantiles(name: str, histogram: LogLinearHistogram) -> list[str]:
    return [name, *(precise_ms(histogram.quantile(q)) for q, _ in QUANTILES)]
