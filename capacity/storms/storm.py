"""What the storms of a run come to: the largest share of the users that may reconnect at once. Pure.

Shares are searched like users, in whole percent. Judged are the levels on `resync`, over those who were dropped, and
on `deliver`, over those who were not: what everyone else felt. What the dropped miss while they are away is no loss of
the server's, so it is counted and not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from capacity.formatting import count, listing, show_confirmation, show_ms
from capacity.judge.verdict import Cause, Outcome, Reason, Verdict, own_faults
from capacity.measure.window import quantile_ms
from capacity.record import StormAnswer, StormRecord
from capacity.search.bracket import Trial, settled
from capacity.search.search import Ending, Plan
from stampede.measure.figures import Latency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.slo import Level
    from capacity.judge.verdict import Limits
    from capacity.measure.window import ClientWindow, ServerWindow
    from capacity.record import Answer
    from stampede.measure.storm_results import StormResult

DEFAULT_LEVELS: Final = ("resync_p95<5s",)
WHOLE: Final = 100
_STEPS_BACK: Final = 4  # connected, upgraded, joined, first delivery
_NOTABLE: Final = 0.1  # part of a latency from which the generator's own lag is told beside it
PLAN: Final = Plan(first=10, largest=WHOLE, confirmations=2)


@dataclass(frozen=True, slots=True)
class StormWindow:
    """One storm, from the drop until all were back or were no longer waited for.

    Attributes:
        storm: the generator's account of it.
        client, server: everything else in that time.
        waited_s: since the drop.
    """

    storm: StormResult
    client: ClientWindow
    server: ServerWindow
    waited_s: float


def is_judged(level: Level) -> bool:
    """Tell whether a storm can be held against a level."""
    return level.is_delivery_latency or level.figure.startswith("resync_")


def judge_storm(window: StormWindow, levels: Sequence[Level], limits: Limits) -> Verdict:
    """Judge one storm: invalid where the generator's own lag or a fault of its own may be part of what was measured."""
    unfit = _unfit(window.client, lag_limit_ms(levels, limits), limits)
    unaffected = window.storm.unaffected
    seen = replace(window.client, latency=Latency(unaffected, unaffected))
    figures = {level.text: level.value(seen) for level in levels}
    failed, unknown = [], []
    storm = window.storm
    back = storm.resynced + storm.gone
    if back < storm.dropped:
        text = f"only {back} of {storm.dropped} dropped users heard again within {window.waited_s:.0f} s"
        failed.append(Reason(Cause.SERVER, "resync", text))
    for level in levels:
        value = figures[level.text]
        if value is not None and not level.is_met(value):
            failed.append(Reason(Cause.SERVER, level.figure, f"missed {level.text}: {level.show(value)}"))
        elif value is None and not (level.is_delivery_latency and storm.dropped == storm.users):
            # Nobody can be unaffected where all were dropped.
            unknown.append(Reason(Cause.MISSING, level.figure, f"nothing in the storm tells {level.figure}"))
    if unfit:
        return Verdict(Outcome.INVALID, (*unfit, *failed), (), figures)
    if failed:
        return Verdict(Outcome.FAIL, tuple(failed), (), figures)
    return Verdict(Outcome.INVALID if unknown else Outcome.PASS, tuple(unknown), (), figures)


def lag_limit_ms(levels: Sequence[Level], limits: Limits) -> float:
    """Return the largest lag of the generator that its measurements of a storm bear, in milliseconds.

    Each step of the way back waits for the generator, so its lag is in a resync several times.
    """
    back = [level.threshold for level in levels if not level.is_delivery_latency]
    found = [limits.lag_share * threshold / _STEPS_BACK for threshold in back]
    if any(level.is_delivery_latency for level in levels):
        found.append(limits.lag_ms(levels))
    return max(limits.lag_floor_ms, min(found))


def _unfit(client: ClientWindow, lag_limit: float, limits: Limits) -> list[Reason]:
    reasons = own_faults(client)
    for worker in client.workers:
        if worker.cpu >= limits.cpu:
            text = f"load generator worker {worker.index} used {worker.cpu:.2f} of its core, limit {limits.cpu:.2f}"
            reasons.append(Reason(Cause.GENERATOR, "generator cpu", text))
        for signal, lag in (("loop lag", worker.loop_lag_p99_ms), ("send lag", worker.send_lag_p99_ms)):
            if lag is not None and lag > lag_limit:
                text = f"load generator worker {worker.index}: own {signal} p99 {lag:.0f} ms, limit {lag_limit:.0f} ms"
                reasons.append(Reason(Cause.GENERATOR, f"generator {signal}", text))
    return reasons


def storm_record(share: int, purpose: str, window: StormWindow, verdict: Verdict) -> StormRecord:
    """Put a storm into its line of the table."""
    storm = window.storm
    at = {share: None if ns is None else ns / 1e6 for share, ns in storm.resync_ns.items()}
    return StormRecord(
        share=share,
        purpose=purpose,
        verdict=str(verdict.outcome),
        reasons=[reason.text for reason in verdict.reasons],
        signals=[reason.signal for reason in verdict.reasons],
        users=storm.users,
        dropped=storm.dropped,
        resynced=storm.resynced,
        drop_ms=storm.drop_ns / 1e6,
        resync50_ms=at.get("0.5"),
        resync95_ms=at.get("0.95"),
        resync100_ms=at.get("1"),
        peak_accepts_per_s=storm.peak_accepts_per_second,
        unaffected_p99_ms=quantile_ms(storm.unaffected, 0.99),
        missed=storm.missed,
        server_load=window.server.cpu_share,
        generator_cpu=[round(worker.cpu, 3) for worker in window.client.workers],
        generator_lag_p99_ms=_lag_ms(window.client),
        figures=dict(verdict.figures),
    )


def _lag_ms(client: ClientWindow) -> float | None:
    lags = [lag for worker in client.workers for lag in (worker.loop_lag_p99_ms, worker.send_lag_p99_ms)]
    return max((lag for lag in lags if lag is not None), default=None)


def line(storm: StormRecord) -> str:
    """Write a storm in one line for people."""
    times = [("half", storm.resync50_ms), ("95 %", storm.resync95_ms), ("all", storm.resync100_ms)]
    back = ", ".join(f"{who} in {show_ms(ms)}" for who, ms in times if ms is not None) or "not back"
    why = f" - {'; '.join(storm.reasons)}" if storm.reasons else ""
    return f"{storm.share:>7} % ({storm.dropped} of {storm.users} users) {storm.verdict:7}  resynced: {back}{why}"


def told(answer: Answer, storm: StormAnswer | None, users: int) -> Answer:
    """Return the answer of a run with storms: what they came to, in place of the level that was held for them."""
    label = f"of {count(users)} users may reconnect at once"
    if storm is None:
        headline, label, sentence = "?", f"{label}: not measured", "No storm was measured."
    else:
        headline, sentence = _headline(storm), storm.sentence
        if storm.share is not None:
            label += f", measured{' and ' if storm.confirmed else ', '}{storm.confirmation}"
    return msgspec.structs.replace(
        answer, headline=headline, headline_label=label, sentence=f"{answer.sentence} {sentence}"
    )


def _headline(storm: StormAnswer) -> str:
    if storm.share is None:
        return "?" if storm.failing_share is None else f"< {storm.failing_share} %"
    least = "" if storm.failing_share is not None or storm.share == WHOLE else "≥ "
    return f"{least}{storm.share} %"


def trials_of_storms(storms: Sequence[StormRecord]) -> list[Trial]:
    """Return what the search needs to know of storms."""
    return [
        Trial(
            storm.share,
            Outcome(storm.verdict),
            data_missing=not any(signal.startswith("generator") for signal in storm.signals),
        )
        for storm in storms
    ]


def storm_answer(
    storms: Sequence[StormRecord], *, users: int, levels: Sequence[str], backoff: str, ending: Ending | None
) -> StormAnswer:
    """Answer from the recorded storms; `ending` is None for a run that was cut short."""
    found = settled(trials_of_storms(storms), PLAN.confirmations)
    standing = show_confirmation(found.passes, PLAN.confirmations)
    failing = [s for s in storms if s.share == found.fails_at and s.verdict == Outcome.FAIL]
    return StormAnswer(
        users=users,
        share=found.low or None,
        failing_share=found.fails_at,
        generator_limited_share=found.given_up_at,
        confirmed=found.low > 0 and found.passes > PLAN.confirmations,
        backoff=backoff,
        levels=list(levels),
        storms=list(storms),
        ending=ending.value if ending else "cut short",
        sentence=("" if ending else "Cut short; so far: ")
        + _sentence(storms, found.low, failing, users=users, levels=levels, backoff=backoff, standing=standing),
        passes=found.passes,
        confirmations=PLAN.confirmations,
    )


def _sentence(
    storms: Sequence[StormRecord],
    low: int,
    failing: Sequence[StormRecord],
    *,
    users: int,
    levels: Sequence[str],
    backoff: str,
    standing: str,
) -> str:
    within = listing(list(levels))
    if not low and failing:
        return (
            f"Of {count(users)} users not even {failing[-1].share} % may reconnect at once (backoff {backoff}) within "
            f"{within}: {'; '.join(failing[-1].reasons)}."
        )
    if not low:
        return f"Not even a storm of {storms[-1].share} % could be judged: {'; '.join(storms[-1].reasons)}."
    held = [storm for storm in storms if storm.share == low and storm.verdict == Outcome.PASS]
    who = f"{low} % of {count(users)} users ({count(held[-1].dropped)} of them)"
    doubt = "" if standing == "confirmed" else f" (measured, {standing})"
    opening = f"Up to {who} may reconnect at once (backoff {backoff}) within {within}{doubt}"
    if low == WHOLE:
        opening = f"All {count(users)} users may reconnect at once (backoff {backoff}) within {within}{doubt}"
    felt = _felt(held)
    beyond = f" At {failing[-1].share} % they may not: {'; '.join(failing[-1].reasons)}." if failing else ""
    limited = [storm for storm in storms if storm.share > low and storm.verdict == Outcome.INVALID]
    if not failing and limited:
        beyond = f" At {limited[-1].share} % the storm could not be judged: {limited[-1].reasons[0]}."
    return f"{opening}.{beyond}{felt}"


def _felt(held: Sequence[StormRecord]) -> str:
    """Say what those who were not dropped felt, and how much of it may be the load generator's own lag."""
    others = [storm for storm in held if storm.unaffected_p99_ms is not None]
    if not others:
        return ""
    worst = max(others, key=lambda storm: storm.unaffected_p99_ms or 0.0)
    p99, lag = worst.unaffected_p99_ms or 0.0, worst.generator_lag_p99_ms
    own = f", of which up to {show_ms(lag)} may be the load generator's own lag" if lag and lag > _NOTABLE * p99 else ""
    return f" The others' p99 was at most {show_ms(p99)} meanwhile{own}."
