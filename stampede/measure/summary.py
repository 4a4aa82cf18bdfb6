"""The end of a run in a few lines: what was offered, what came, how late, and whether to believe it; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from stampede.generator_faults import Fault, merged
from stampede.measure import measures
from stampede.measure.storm_results import COLUMNS, table
from stampede.measure.thresholds import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stampede.measure.log_linear_histogram import LogLinearHistogram
    from stampede.measure.snapshot import Report, Sends, Totals
    from stampede.measure.storm_results import StormResult
    from stampede.measure.thresholds import Threshold
    from stampede.websocket.addresses import AddressUse

T = TypeVar("T")

MET: Final = 0
INVALID: Final = 98
FAILED: Final = 99

EXIT_CODES: Final = {
    MET: "every threshold was met; without thresholds: no request failed",
    1: "a request failed without thresholds to judge it by: Locust's own code",
    2: "an option is unusable, or nothing answers at `--host`",
    INVALID: "invalid: the generator or its machine was at a limit, user code raised an exception, a worker died, "
    "nobody joined, or a threshold was unmeasured and none failed",
    FAILED: "a threshold was not met",
}

_HELD: Final = 0.1  # part of the messages from which it is told that the server does not read

_QUANTILES: Final = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known when a run has ended.

    Attributes:
        totals: of the living processes; those that died stand apart in it.
        storms: on command.
        thresholds: concluded.
        notes: what else a reader has to know.
        faults: beside those that processes reported: exceptions in user code, workers that never took part.
    """

    totals: Totals
    storms: Sequence[StormResult] = ()
    thresholds: Sequence[Threshold] = ()
    notes: Sequence[str] = ()
    faults: Sequence[Fault] = ()

    @property
    def problems(self) -> list[str]:
        """Why the run is invalid, each with the process it happened in."""
        totals = self.totals
        several = len(totals.reports) + len(totals.dead) > 1
        found = [
            f"worker {report.index}: {problem}" if several else problem
            for report in totals.reports
            for problem in report.problems
        ]
        found += [fault.text for fault in self.all_faults]
        found += [f"worker {report.index} died with {report.users} users" for report in totals.dead]
        return [*found, *_nobody(totals)]

    @property
    def failed(self) -> int:
        """How many thresholds were not met."""
        return sum(threshold.missed > 0 for threshold in self.thresholds)

    @property
    def unmeasured(self) -> int:
        """How many thresholds had nothing to measure."""
        return sum(not threshold.is_measured for threshold in self.thresholds)

    @property
    def all_faults(self) -> list[Fault]:
        """Every fault of this side, each kind and detail once."""
        return merged([*self.totals.faults, *self.faults])

    @property
    def advice(self) -> list[str]:
        """What is behind the problems, and what helps; each once."""
        causes = [cause for report in self.totals.reports for cause in report.causes]
        sends = self.totals.sends
        if causes and sends.held > _HELD * sends.intended:
            causes.append(
                f"The server did not read in time: {sends.held} of {sends.intended} messages had to wait for it."
            )
        return list(dict.fromkeys([*causes, *(fault.advice for fault in self.all_faults if fault.advice)]))

    @property
    def exit_code(self) -> int | None:
        """The exit code; None leaves it to Locust."""
        if self.problems:
            return INVALID
        if self.failed:
            return FAILED
        if self.unmeasured:
            return INVALID
        return MET if self.thresholds else None


def _nobody(totals: Totals) -> Iterator[str]:
    """Say so if not one user got into its room, and why."""
    if not totals.reports or totals.times[measures.JOIN].count or totals.total("joined_before"):
        return
    failures = totals.failures[measures.CONNECT] | totals.failures[measures.JOIN]
    often = f"; most often: {max(failures, key=failures.__getitem__)}" if failures else ""
    yield f"nobody joined a room{often}"


def summary(outcome: Outcome) -> list[str]:
    """Return the lines; a percentile never stands without the ledger."""
    totals = outcome.totals
    sends = totals.sends
    return [
        "",
        "Chat load test",
        f"  offered     {sends.intended} messages due: {sends.sent} sent ({sends.late} late), {sends.skipped} skipped",
        *_held(sends),
        *_ledger(totals),
        _row("latency", "from intended send", totals.by_intended),
        _row("", "from actual send", totals.by_sent),
        *_resync(totals),
        *_storms(outcome.storms),
        *_server(totals),
        *_generator(totals),
        *(f"  {head:<11} {note}" for head, note in _headed("note", outcome.notes)),
        *(f"  {head:<11} {describe(one)}" for head, one in _headed("thresholds", outcome.thresholds)),
        *_verdict(outcome),
        "",
    ]


def _held(sends: Sends) -> Iterator[str]:
    if sends.held:
        yield f"              {sends.held} of the sent were held back: the server took no bytes, or a user was cut off"


def _ledger(totals: Totals) -> Iterator[str]:
    deliveries = totals.deliveries
    yield (
        f"  deliveries  {deliveries.expected} expected, {deliveries.received} received, {deliveries.lost} lost, "
        f"{deliveries.duplicated} duplicated, {deliveries.reordered} reordered"
    )
    if deliveries.late:
        yield f"              {deliveries.late} of the lost came after all, seconds too late"
    if deliveries.churned or deliveries.foreign_clock:
        yield (
            f"              not counted: {deliveries.churned} in flight when an end left, "
            f"{deliveries.foreign_clock} of another run"
        )
    for report in totals.dead:
        yield f"  dead        worker {report.index} ({report.id}), counted apart: {_last_words(report)}"


def _last_words(report: Report) -> str:
    ledger = report.deliveries
    unknown = ledger.expected - ledger.received - ledger.lost
    return (
        f"{report.users} users, {report.sends.sent} sent, {ledger.expected} expected, {ledger.received} received, "
        f"{ledger.lost} lost, {unknown} unknown"
    )


def _resync(totals: Totals) -> Iterator[str]:
    resync = totals.times[measures.RESYNC]
    drops = sum(totals.drops.values())
    if resync.count:
        yield _row("resync", f"{resync.count} of {drops} drops", resync)
        by_pong = totals.total("resynced_by_pong")
        if by_pong:
            yield f"              {by_pong} of these by a pong: nobody else speaks in their rooms"
    elif drops:
        yield f"  resync      none after {drops} drops: no delivery came, nor a pong where nobody else speaks"


def _storms(storms: Sequence[StormResult]) -> Iterator[str]:
    if not storms:
        return
    rows = [{key: title for key, title, _ in COLUMNS}, *table(storms)]
    widths = {key: max(len(row[key]) for row in rows) for key, _, _ in COLUMNS}
    for head, row in _headed("storms", rows):
        yield f"  {head:<11} " + "  ".join(row[key].rjust(width) for key, width in widths.items())


def _server(totals: Totals) -> Iterator[str]:
    lines = [*_addresses(totals.addresses)]
    lacking = sorted({answer for report in totals.reports for answer in report.lacking})
    if lacking:
        lines.append(f"never answers with {', '.join(lacking)}: not waited for, not checked")
    yield from (f"  {head:<11} {line}" for head, line in _headed("server", lines))


def _addresses(uses: Sequence[AddressUse]) -> Iterator[str]:
    """Tell which addresses of a name with several ones were loaded."""
    if len(uses) < 2:
        return
    loaded = [f"{use.address} ({use.connections} connections)" for use in uses if use.connections]
    yield f"{len(loaded)} of {len(uses)} addresses loaded: {', '.join(loaded) or 'none'}"
    yield from (f"{use.address}: {use.why}, {use.failures} times" for use in uses if use.failures)


def _generator(totals: Totals) -> Iterator[str]:
    yield _row("generator", "send lag, whole run", totals.send_lag)
    yield _row("", "loop lag, whole run", totals.loop_lag)
    if totals.reports:
        busiest = max(totals.reports, key=lambda report: report.cpu_share)
        memory = max(report.rss_bytes for report in totals.reports)
        yield (
            f"              {'CPU and memory':<19} {busiest.cpu_share:.0%} of a core, {memory / 2**20:.0f} MiB at most "
            f"in each of {len(totals.reports)}"
        )


def _verdict(outcome: Outcome) -> Iterator[str]:
    problems = outcome.problems
    for problem in problems:
        yield f"  INVALID     {problem}"
    if any(report.problems for report in outcome.totals.reports):
        yield "              The generator was the limit: these latencies are its own, too."
    for advice in outcome.advice:
        yield f"              {advice}"
    if problems:
        yield f"  verdict     invalid: results are not usable (exit code {INVALID})"
    else:
        yield f"  verdict     {_judgement(outcome)}"


def _judgement(outcome: Outcome) -> str:
    """Return the verdict on a run in which the generator kept up."""
    number = len(outcome.thresholds)
    if outcome.failed:
        unmeasured = f", {outcome.unmeasured} unmeasured" if outcome.unmeasured else ""
        return f"FAILED: {_of(outcome.failed, number)} not met{unmeasured} (exit code {FAILED})"
    if outcome.unmeasured:
        return f"unmeasured: {_of(outcome.unmeasured, number, 'had')} nothing to measure (exit code {INVALID})"
    if not number:
        return "valid: the generator kept up"
    return f"valid: the generator kept up, {'the threshold was' if number == 1 else f'all {number} thresholds'} met"


def _of(some: int, number: int, verb: str = "") -> str:
    """Return `1 of 2 thresholds`, or `the threshold` where there is one, with a verb."""
    if number == 1:
        return f"the threshold {verb or 'was'}"
    return f"{some} of {number} thresholds {verb}".rstrip()


def _headed(head: str, items: Sequence[T]) -> Iterator[tuple[str, T]]:
    """Yield the items with a head for the first one."""
    for number, item in enumerate(items):
        yield ("" if number else head), item


def _row(head: str, what: str, histogram: LogLinearHistogram) -> str:
    values = "  ".join(f"{name} {_ms(histogram.quantile(q))}" for q, name in _QUANTILES)
    return f"  {head:<11} {what:<19} {values}"


def _ms(ns: float | None) -> str:
    if ns is None:
        return "-"
    return f"{ns / 1e6:.3f} ms" if ns < 1e7 else f"{ns / 1e6:.1f} ms"
