"""The summary at the end of a run: figures, thresholds, verdict and exit code; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from stampede.generator_faults import Fault, merge_faults
from stampede.measure.address_pairs import address_pairs, loss_lines
from stampede.measure.formatting import precise_ms
from stampede.measure.request_names import CONNECT, DELIVER, JOIN, row_of
from stampede.measure.storm_results import COLUMNS, table
from stampede.verdict.request_lines import request_lines, why_unmeasured
from stampede.verdict.thresholds import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stampede.ledger.counts import OrderCounts
    from stampede.measure.figures import Figures, SendCounts
    from stampede.measure.log_linear_histogram import LogLinearHistogram
    from stampede.measure.report import Totals
    from stampede.measure.storm_results import StormResult
    from stampede.verdict.thresholds import Threshold
    from stampede.websocket.addresses import AddressUse

T = TypeVar("T")

MET: Final = 0
INVALID: Final = 98
FAILED: Final = 99

EXIT_CODES: Final = {
    MET: "every threshold was met; without thresholds: no request failed",
    1: "a request failed without thresholds to judge it by: Locust's own code",
    2: "an option is invalid, no server answers at `--host`, or a file with the summary could not be written",
    INVALID: "invalid: the generator or its machine was at a limit, user code raised an exception, a worker died, "
    "no user joined a room, or a threshold was unmeasured and none failed",
    FAILED: "a threshold was not met",
}

_HELD: Final = 0.1  # share of queued messages above which the advice reports that the server does not read

_JOIN_SECONDS: Final = 10.0
"""Time after the start of a run within which nobody needs to have joined a room."""

_QUANTILES: Final = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of a run besides its figures; None is unknown.

    Attributes:
        has_ended: whether the run has ended.
        users: the most users that ran at once; `timed_users` is the same for those whose deliveries are timed.
        seconds: length of the run.
        dialect: name of the dialect of the chat users.
        scenario: the user classes and their weights.
        locust_exit_code: the exit code of the process if the run's own result leaves it to Locust.
    """

    has_ended: bool = True
    users: int | None = None
    timed_users: int | None = None
    seconds: float | None = None
    dialect: str | None = None
    scenario: str | None = None
    locust_exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    Attributes:
        totals: the reports of all processes.
        storms: storms on command.
        thresholds: the thresholds; those of a run that has ended are concluded.
        notes: further lines for the summary.
        faults: faults that no process reported: exceptions in user code, workers that never took part.
        has_chat_users: whether there were users that should have joined a room.
        circumstances: what is known of the run besides.
    """

    totals: Totals
    storms: Sequence[StormResult] = ()
    thresholds: Sequence[Threshold] = ()
    notes: Sequence[str] = ()
    faults: Sequence[Fault] = ()
    has_chat_users: bool = True
    circumstances: Circumstances = Circumstances()

    @property
    def problems(self) -> list[str]:
        """Why the run is invalid, each problem with its process."""
        totals = self.totals
        several = len(totals.reports) + len(totals.dead) > 1
        found = [
            f"worker {report.index}: {problem}" if several else problem
            for report in totals.reports
            for problem in report.problems
        ]
        found += [fault.text for fault in self.all_faults]
        found += [f"worker {report.index} died with {report.figures.users} users" for report in totals.dead]
        return [*found, *(_no_user_joined(totals) if self._should_have_joined else ())]

    @property
    def _should_have_joined(self) -> bool:
        """Whether there are users that should have joined a room by now."""
        circumstances = self.circumstances
        is_early = not circumstances.has_ended and (circumstances.seconds or 0) < _JOIN_SECONDS
        return self.has_chat_users and not is_early

    @property
    def failed(self) -> int:
        """Number of thresholds that were not met."""
        return sum(threshold.missed > 0 for threshold in self.thresholds)

    @property
    def unmeasured(self) -> int:
        """Number of thresholds without a sample."""
        return sum(not threshold.is_measured for threshold in self.thresholds)

    @property
    def all_faults(self) -> list[Fault]:
        """All faults of the load generator, each kind and detail once."""
        return merge_faults([*self.totals.faults, *self.faults])

    @property
    def advice(self) -> list[str]:
        """The causes of the problems and their remedies; each once."""
        causes = [cause for report in self.totals.reports for cause in report.causes]
        sends = self.totals.figures.sends
        if causes and sends.held > _HELD * sends.intended:
            causes.append(
                f"The server did not read fast enough: {sends.held} of {sends.intended} messages had to wait."
            )
        return list(dict.fromkeys([*causes, *(fault.advice for fault in self.all_faults if fault.advice)]))

    @property
    def exit_code(self) -> int | None:
        """The exit code of the process; None leaves it to Locust."""
        if self.problems:
            return INVALID
        if self.failed:
            return FAILED
        if self.unmeasured:
            return INVALID
        return MET if self.thresholds else None


def _no_user_joined(totals: Totals) -> Iterator[str]:
    """Yield a problem if not a single user joined its room."""
    figures = totals.figures
    if not totals.reports or figures.joins or totals.joined_before:
        return
    reasons = figures.request(CONNECT).reasons | figures.request(JOIN).reasons
    often = f"; most often: {max(reasons, key=reasons.__getitem__)}" if any(reasons.values()) else ""
    yield f"no user joined a room{often}"


def summary(result: RunResult) -> list[str]:
    """Return the lines of the summary. Percentiles always appear together with the ledger."""
    totals = result.totals
    figures = totals.figures
    sends = figures.sends
    return [
        "",
        "Chat load test",
        f"  offered     {offered_line(sends)}",
        *_held(sends),
        *_ledger(totals),
        *_lines("order", list(order_lines(figures.order, promised=totals.keeps_order))),
        *_timed(figures),
        _row("latency", "from intended send", figures.latency.intended),
        _row("", "from actual send", figures.latency.sent),
        *_requests(figures),
        *_lines("aggregated", list(aggregated_notes(figures))),
        *_resync(figures),
        *_storms(result.storms),
        *_server(totals),
        *_generator(totals),
        *_lines("note", result.notes),
        *_thresholds(result),
        *_verdict(result),
        "",
    ]


def offered_line(sends: SendCounts) -> str:
    """Return what became of the messages that were due."""
    return f"{sends.intended} messages due: {sends.sent} sent ({sends.late} late), {sends.skipped} skipped"


def _held(sends: SendCounts) -> Iterator[str]:
    if sends.held:
        why = "congested connection, or reconnecting user"
        yield f"              {sends.held} sent messages waited in the queue: {why}"


def _ledger(totals: Totals) -> Iterator[str]:
    deliveries = totals.figures.deliveries
    yield (
        f"  deliveries  {deliveries.expected} expected, {deliveries.received} received, {deliveries.lost} lost, "
        f"{deliveries.duplicated} duplicated, {deliveries.reordered} reordered"
    )
    yield from (f"              {line}" for line in ledger_notes(totals))
    for report in totals.dead:
        yield f"  dead        worker {report.index} ({report.id}), not included above: {_last_figures(report.figures)}"


def ledger_notes(totals: Totals) -> Iterator[str]:
    """Yield what a reader of the ledger must know."""
    deliveries = totals.figures.deliveries
    yield from loss_lines(address_pairs(totals.figures.address_pairs))
    if deliveries.late:
        yield f"{deliveries.late} lost deliveries arrived late, after they were counted as lost"
    if deliveries.churned or deliveries.foreign_clock:
        yield (
            f"not counted: {deliveries.churned} in flight when sender or receiver disconnected, "
            f"{deliveries.foreign_clock} of another run"
        )
    if totals.figures.unconfirmed_joins:
        yield "loss is a lower bound: the server does not confirm joins"


def _last_figures(figures: Figures) -> str:
    ledger = figures.deliveries
    return (
        f"{figures.users} users, {figures.sends.sent} sent, {ledger.expected} expected, {ledger.received} received, "
        f"{ledger.lost} lost, {ledger.in_flight} unknown"
    )


def order_lines(order: OrderCounts, *, promised: bool) -> Iterator[str]:
    """Yield how much was compared: without a comparison, no order is known to be the same."""
    if not order.members:
        yield "not compared: no sample has two members that received messages of the same two senders"
        return
    yield (
        f"{order.members} members compared over {order.messages} messages in {order.samples} samples "
        f"of a room: {order.divergent} divergent"
    )
    if order.divergent and not promised:
        yield "no fault by itself: the dialect promises no common order for messages of different senders"


def _timed(figures: Figures) -> Iterator[str]:
    """Yield whose deliveries were timed, unless it were those of all users."""
    untimed = figures.deliveries.received - figures.latency.intended.count
    if untimed:
        share = figures.latency.intended.count / figures.deliveries.received
        yield f"  timed       {share:.1%} of the deliveries: those of users that --timed-share drew"


def _requests(figures: Figures) -> Iterator[str]:
    lines = request_lines(figures)
    if figures.cut_off:
        lines.append(f"{figures.cut_off} cut off by drops on purpose or stops, not counted as failures")
    yield from _lines("requests", lines)


def aggregated_notes(figures: Figures) -> Iterator[str]:
    """Yield what Locust's row `Aggregated` mixes, if it has deliveries and requests."""
    deliveries, requests = figures.requests.get(row_of(DELIVER)), figures.operations
    if deliveries is not None and deliveries.count and requests:
        yield (
            f"Locust's row Aggregated mixes {deliveries.count} deliveries with {requests} requests: "
            "read the rows of their own"
        )


def _resync(figures: Figures) -> Iterator[str]:
    drops = sum(figures.drops.values())
    if figures.resync.count:
        yield _row("resync", f"{figures.resync.count} of {drops} drops", figures.resync)
        if figures.resynced_by_pong:
            yield f"              {figures.resynced_by_pong} of these by a pong: no other user sends in their rooms"
    elif drops:
        yield f"  resync      none after {drops} drops: no delivery arrived, and no pong in rooms without other senders"


def _storms(storms: Sequence[StormResult]) -> Iterator[str]:
    if not storms:
        return
    rows = [{key: title for key, title, _ in COLUMNS}, *table(storms)]
    widths = {key: max(len(row[key]) for row in rows) for key, _, _ in COLUMNS}
    for head, row in _headed("storms", rows):
        yield f"  {head:<11} " + "  ".join(row[key].rjust(width) for key, width in widths.items())


def _server(totals: Totals) -> Iterator[str]:
    lines = [*_addresses(totals.addresses)]
    if totals.lacking:
        lines.append(f"does not send {', '.join(totals.lacking)}: not waited for, not checked")
    yield from _lines("server", lines)


def _addresses(uses: Sequence[AddressUse]) -> Iterator[str]:
    """Yield which addresses were used, if the name of the server has several."""
    if len(uses) < 2:
        return
    loaded = [f"{use.address} ({use.connections} connections)" for use in uses if use.connections]
    yield f"{len(loaded)} of {len(uses)} addresses loaded: {', '.join(loaded) or 'none'}"
    yield from (f"{use.address}: {use.why}, {use.failures} times" for use in uses if use.failures)


def _generator(totals: Totals) -> Iterator[str]:
    yield _row("generator", "send lag, whole run", totals.figures.send_lag)
    yield _row("", "loop lag, whole run", totals.figures.loop_lag)
    if totals.reports:
        busiest = max(totals.reports, key=lambda report: report.cpu_share)
        memory = max(report.rss_bytes for report in totals.reports)
        yield (
            f"              {'CPU and memory':<19} {busiest.cpu_share:.0%} of a core, {memory / 2**20:.0f} MiB at most "
            f"in each of {len(totals.reports)}"
        )


def _thresholds(result: RunResult) -> Iterator[str]:
    figures = result.totals.figures
    for head, threshold in _headed("thresholds", result.thresholds):
        yield f"  {head:<11} {describe(threshold, why_unmeasured(threshold.slo, figures))}"


def _verdict(result: RunResult) -> Iterator[str]:
    problems = result.problems
    for problem in problems:
        yield f"  INVALID     {problem}"
    if any(report.problems for report in result.totals.reports):
        yield "              The load generator was the limit: the latencies include its own delay."
    for advice in result.advice:
        yield f"              {advice}"
    if problems:
        yield f"  verdict     invalid: results are not usable (exit code {INVALID})"
    else:
        yield f"  verdict     {_judgement(result)}"


def _judgement(result: RunResult) -> str:
    """Return the verdict on a valid run."""
    number = len(result.thresholds)
    if result.failed:
        unmeasured = f", {result.unmeasured} unmeasured" if result.unmeasured else ""
        return f"FAILED: {_of(result.failed, number)} not met{unmeasured} (exit code {FAILED})"
    if result.unmeasured:
        return f"unmeasured: {_of(result.unmeasured, number, 'had')} no samples (exit code {INVALID})"
    if not number:
        return "valid: the generator kept up"
    return f"valid: the generator kept up, {'the threshold was' if number == 1 else f'all {number} thresholds'} met"


def _of(some: int, number: int, verb: str = "") -> str:
    """Return `1 of 2 thresholds`, or `the threshold` if there is only one, with a verb."""
    if number == 1:
        return f"the threshold {verb or 'was'}"
    return f"{some} of {number} thresholds {verb}".rstrip()


def _lines(head: str, texts: Sequence[str]) -> Iterator[str]:
    """Yield lines, the first one with a heading."""
    yield from (f"  {shown:<11} {text}" for shown, text in _headed(head, texts))


def _headed(head: str, items: Sequence[T]) -> Iterator[tuple[str, T]]:
    """Yield the items, the first one with a heading."""
    for number, item in enumerate(items):
        yield ("" if number else head), item


def _row(head: str, what: str, histogram: LogLinearHistogram) -> str:
    values = "  ".join(f"{name} {precise_ms(histogram.quantile(q))}" for q, name in _QUANTILES)
    return f"  {head:<11} {what:<19} {values}"
