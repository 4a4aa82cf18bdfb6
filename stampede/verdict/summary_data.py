"""The summary of a run as data: what `--summary-json` writes and `GET /stampede/summary` returns; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stampede.measure.storm_results import SHARES
from stampede.verdict.request_lines import name_of, why_unmeasured
from stampede.verdict.summary import INVALID
from stampede.verdict.summary_fields import (
    GeneratorData,
    LatencyData,
    LedgerData,
    QuantilesMs,
    RequestData,
    ResyncMs,
    StormData,
    SummaryData,
    ThresholdData,
    ThresholdOutcome,
    Verdict,
)

if TYPE_CHECKING:
    from stampede.measure.figures import Figures
    from stampede.measure.log_linear_histogram import LogLinearHistogram
    from stampede.measure.report import Totals
    from stampede.measure.storm_results import StormResult
    from stampede.verdict.summary import RunResult
    from stampede.verdict.thresholds import Threshold


def summary_data(result: RunResult) -> SummaryData:
    """Return the summary of a run as data."""
    totals, circumstances = result.totals, result.circumstances
    figures = totals.figures
    lasts = not circumstances.has_ended
    return SummaryData(
        verdict=None if lasts else _verdict(result),
        reasons=reasons(result),
        exit_code=None if lasts else _exit_code(result),
        users=circumstances.users,
        seconds=_rounded(circumstances.seconds),
        dialect=circumstances.dialect,
        scenario=circumstances.scenario,
        timed_users=circumstances.timed_users,
        thresholds=[_threshold(threshold) for threshold in result.thresholds],
        ledger=_ledger(totals),
        latency_ms=LatencyData(
            intended=_quantiles(figures.latency.intended),
            sent=_quantiles(figures.latency.sent),
        ),
        generator=_generator(totals),
        requests=_requests(figures),
        storms=[_storm(storm) for storm in result.storms],
    )


def _verdict(result: RunResult) -> Verdict:
    return Verdict.INVALID if result.exit_code == INVALID else Verdict.VALID


def reasons(result: RunResult) -> list[str]:
    """Return why a run is invalid; thresholds without a sample are a reason once it has ended."""
    if not result.circumstances.has_ended or result.exit_code != INVALID:
        return result.problems
    figures = result.totals.figures
    unmeasured = [
        f"{threshold.slo.text} unmeasured: {why_unmeasured(threshold.slo, figures)}"
        for threshold in result.thresholds
        if not threshold.is_measured
    ]
    return [*result.problems, *unmeasured]


def _exit_code(result: RunResult) -> int | None:
    return result.circumstances.locust_exit_code if result.exit_code is None else result.exit_code


def _threshold(threshold: Threshold) -> ThresholdData:
    if threshold.missed:
        outcome = ThresholdOutcome.FAILED
    else:
        outcome = ThresholdOutcome.MET if threshold.is_measured else ThresholdOutcome.UNMEASURED
    return ThresholdData(
        expression=threshold.slo.text,
        result=outcome,
        windows=threshold.judged,
        failed_windows=threshold.missed,
        worst=threshold.worst.value if threshold.worst else None,
    )


def _ledger(totals: Totals) -> LedgerData:
    """Return the ledger; nothing of it is known if no process reported."""
    counts, order = totals.figures.deliveries, totals.figures.order

    def known(count: int) -> int | None:
        return count if totals.reports else None

    return LedgerData(
        expected=known(counts.expected),
        received=known(counts.received),
        lost=known(counts.lost),
        duplicated=known(counts.duplicated),
        reordered=known(counts.reordered),
        in_flight=known(counts.in_flight),
        divergent=order.divergent if order.members else None,
    )


def _generator(totals: Totals) -> GeneratorData:
    reports = totals.reports
    return GeneratorData(
        send_lag_ms=_quantiles(totals.figures.send_lag),
        loop_lag_ms=_quantiles(totals.figures.loop_lag),
        cpu=max((report.cpu_share for report in reports), default=None),
        memory_mib=max((report.rss_bytes / 2**20 for report in reports), default=None),
        workers=len(reports),
    )


def _requests(figures: Figures) -> dict[str, RequestData]:
    found = {}
    for row, counts in figures.requests.items():
        if counts.count:
            name = name_of(row)
            times = figures.times_of(name)
            found[name] = RequestData(
                count=counts.count,
                failures=counts.failures,
                p50=_quantile_ms(times, 0.5),
                p99=_quantile_ms(times, 0.99),
            )
    return found


def _storm(storm: StormResult) -> StormData:
    half, most, everyone = (_ms(storm.until(share)) for share in SHARES)
    return StormData(
        number=storm.id,
        at_seconds=storm.at_s,
        users=storm.users,
        dropped=storm.dropped,
        drop_ms=storm.drop_ns / 1e6,
        resynced=storm.resynced,
        gone=storm.gone,
        resync_ms=ResyncMs(p50=half, p95=most, max=everyone),
        peak_accepts_per_second=storm.peak_accepts_per_second,
        unaffected_p99_ms=_quantile_ms(storm.unaffected, 0.99),
        missed=storm.missed,
    )


def _quantiles(histogram: LogLinearHistogram) -> QuantilesMs:
    p50, p90, p99, p99_9, largest = (_quantile_ms(histogram, q) for q in (0.5, 0.9, 0.99, 0.999, 1.0))
    return QuantilesMs(p50=p50, p90=p90, p99=p99, p99_9=p99_9, max=largest)


def _quantile_ms(histogram: LogLinearHistogram | None, q: float) -> float | None:
    return None if histogram is None else _ms(histogram.quantile(q))


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
