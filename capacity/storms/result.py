"""The result of the storms of a run: the largest share of the users that may reconnect at once. Pure.

The share is searched like users, in whole percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from capacity.formatting import count, format_confirmation, format_ms, listing
from capacity.measure.client_window import quantile_ms
from capacity.record.step import Verdict
from capacity.record.storm import StormAnswer, StormRecord
from capacity.search.bracket import Trial, confirmed_bounds
from capacity.search.search import Ending, Plan, opening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.judge.judgement import Judgement
    from capacity.measure.client_window import ClientWindow
    from capacity.record.answer import Answer
    from capacity.storms.judge import StormWindow

_ALL: Final = 100
_SIGNIFICANT_LAG: Final = 0.1  # part of a latency from which the generator's lag is shown beside it

PLAN: Final = Plan(first=10, largest=_ALL, confirmations=2)


def storm_record(percent: int, purpose: str, window: StormWindow, judgement: Judgement) -> StormRecord:
    """Return the record of a storm."""
    storm = window.storm
    resync_ms = {part: None if ns is None else ns / 1e6 for part, ns in storm.resync_ns.items()}
    return StormRecord(
        share=percent,
        purpose=purpose,
        verdict=judgement.verdict,
        reasons=[reason.text for reason in judgement.reasons],
        signals=[reason.signal for reason in judgement.reasons],
        causes=[reason.cause for reason in judgement.reasons],
        users=storm.users,
        dropped=storm.dropped,
        resynced=storm.resynced,
        drop_ms=storm.drop_ns / 1e6,
        resync50_ms=resync_ms.get("0.5"),
        resync95_ms=resync_ms.get("0.95"),
        resync100_ms=resync_ms.get("1"),
        peak_accepts_per_s=storm.peak_accepts_per_second,
        unaffected_p99_ms=quantile_ms(storm.unaffected, 0.99),
        missed=storm.missed,
        server_load=window.server.core_share,
        generator_cpu=[round(worker.cpu, 3) for worker in window.client.workers],
        generator_lag_p99_ms=_worst_lag_ms(window.client),
        figures=dict(judgement.figures),
    )


def _worst_lag_ms(client: ClientWindow) -> float | None:
    lags = [lag for worker in client.workers for lag in (worker.loop_lag_p99_ms, worker.send_lag_p99_ms)]
    return max((lag for lag in lags if lag is not None), default=None)


def storm_line(storm: StormRecord) -> str:
    """Return the line that the display shows for a storm."""
    times = [("half", storm.resync50_ms), ("95 %", storm.resync95_ms), ("all", storm.resync100_ms)]
    resynced = ", ".join(f"{part} in {format_ms(ms)}" for part, ms in times if ms is not None) or "none"
    why = f" - {'; '.join(storm.reasons)}" if storm.reasons else ""
    return f"{storm.share:>7} % ({storm.dropped} of {storm.users} users) {storm.verdict:7}  resynced: {resynced}{why}"


def storm_trials(storms: Sequence[StormRecord]) -> list[Trial]:
    """Return the storms as trials of a search, with percent as users."""
    return [Trial(storm.share, storm.verdict, storm.invalid_cause) for storm in storms]


def add_storms(answer: Answer, storm: StormAnswer | None, users: int) -> Answer:
    """Return the answer of a run with storms: their result replaces the headline, and extends the sentence."""
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
    at_least = "" if storm.failing_share is not None or storm.share == _ALL else "≥ "
    return f"{at_least}{storm.share} %"


def storm_answer(
    storms: Sequence[StormRecord], *, users: int, slos: Sequence[str], backoff: str, ending: Ending | None
) -> StormAnswer:
    """Return the answer of the storms; `ending` is None if the run was interrupted."""
    found = confirmed_bounds(storm_trials(storms), PLAN.confirmations)
    confirmed = found.low > 0 and found.passes > PLAN.confirmations
    doubt = "" if confirmed else format_confirmation(found.passes, PLAN.confirmations)
    texts = _Texts(storms, users, slos, backoff, doubt)
    return StormAnswer(
        users=users,
        share=found.low or None,
        failing_share=found.fails_at,
        generator_limited_share=found.invalid_at,
        confirmed=confirmed,
        backoff=backoff,
        levels=list(slos),
        storms=list(storms),
        ending=ending.value if ending else "cut short",
        sentence=opening(ending) + texts.sentence(found.low, found.fails_at),
        passes=found.passes,
        confirmations=PLAN.confirmations,
    )


@dataclass(frozen=True, slots=True)
class _Texts:
    """The sentences of the answer; `doubt` is empty if the share was confirmed."""

    storms: Sequence[StormRecord]
    users: int
    slos: Sequence[str]
    backoff: str
    doubt: str

    def sentence(self, low: int, fails_at: int | None) -> str:
        failing = [s for s in self.storms if s.share == fails_at and s.verdict is Verdict.FAIL]
        within = f"(backoff {self.backoff}) within {listing(list(self.slos))}"
        if not low and failing:
            why = "; ".join(failing[-1].reasons)
            return f"Of {count(self.users)} users not even {failing[-1].share} % may reconnect at once {within}: {why}."
        if not low:
            last = self.storms[-1]
            return f"No valid measurement, not even of a storm of {last.share} %: {'; '.join(last.reasons)}."
        held = [storm for storm in self.storms if storm.share == low and storm.verdict is Verdict.PASS]
        who = f"Up to {low} % of {count(self.users)} users ({count(held[-1].dropped)} of them)"
        if low == _ALL:
            who = f"All {count(self.users)} users"
        doubt = f" (measured, {self.doubt})" if self.doubt else ""
        return f"{who} may reconnect at once {within}{doubt}.{self._beyond(low, failing)}{_unaffected(held)}"

    def _beyond(self, low: int, failing: Sequence[StormRecord]) -> str:
        if failing:
            return f" Fails at {failing[-1].share} %: {'; '.join(failing[-1].reasons)}."
        invalid = [storm for storm in self.storms if storm.share > low and storm.verdict is Verdict.INVALID]
        return f" No valid measurement at {invalid[-1].share} %: {invalid[-1].reasons[0]}." if invalid else ""


def _unaffected(held: Sequence[StormRecord]) -> str:
    """Describe the latency of users that were not dropped, and how much of it may be the load generator's lag."""
    others = [storm for storm in held if storm.unaffected_p99_ms is not None]
    if not others:
        return ""
    worst = max(others, key=lambda storm: storm.unaffected_p99_ms or 0.0)
    p99, lag = worst.unaffected_p99_ms or 0.0, worst.generator_lag_p99_ms
    is_significant = lag is not None and lag > _SIGNIFICANT_LAG * p99
    own = f"; up to {format_ms(lag or 0.0)} of it may be lag of the load generator" if is_significant else ""
    return f" Latency p99 of the other users was at most {format_ms(p99)}{own}."
