"""The record of a drill, and what it says in one sentence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capacity.formatting import count, format_ms
from capacity.measure.client_window import quantile_ms
from capacity.record.answer import Answer
from capacity.record.drill import DrillRecord
from capacity.record.step import Verdict
from capacity.search.search import Ending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.drill.timeline import Timeline
    from capacity.judge.judgement import Judgement
    from capacity.measure.client_window import ClientWindow
    from capacity.record.step import StepRecord
    from stampede.measure.storm_results import StormResult

_DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """The command of a drill; see `DrillRecord`."""

    text: str
    exit_code: int | None
    seconds: float | None
    output: list[str]


def drill_record(
    storm: StormResult,
    client: ClientWindow | None,
    judgement: Judgement,
    command: CommandRecord,
    timeline: Timeline,
    *,
    watch_s: float,
    before_p99_ms: float | None,
) -> DrillRecord:
    """Return the record of a drill.

    Args:
        storm: the watch, as the load generator reports it.
        client: the clients since the command started; None if they were not measured.
        judgement: the judgement.
        command: the command.
        timeline: users and latency over time.
        watch_s: seconds from the start of the watch to the start of the command.
        before_p99_ms: latency before the command.
    """
    watch = storm.watch
    recovered = timeline.recovered_s
    has_unaffected = storm.dropped < storm.users
    counts = client.deliveries if client is not None else None
    return DrillRecord(
        verdict=judgement.verdict,
        reasons=[reason.text for reason in judgement.reasons],
        signals=[reason.signal for reason in judgement.reasons],
        causes=[reason.cause for reason in judgement.reasons],
        users=storm.users,
        dropped=storm.dropped,
        resynced=storm.resynced,
        gone=storm.gone,
        outages=storm.outages,
        lost_connections=watch.lost if watch else 0,
        drop_causes=dict(watch.causes) if watch else {},
        resync_p50_seconds=_seconds(storm.until(0.5)),
        resync_p95_seconds=_seconds(storm.until(0.95)),
        resync_all_seconds=_seconds(storm.until(1.0)),
        reconnects=sum(watch.reconnects_per_second) if watch else 0,
        reconnects_busiest_second=storm.peak_accepts_per_second,
        messages_missed=storm.missed,
        messages_unsent=client.sends.skipped if client is not None else None,
        unaffected_p99_ms=quantile_ms(storm.unaffected, 0.99) if has_unaffected else None,
        unaffected_lost=counts.lost if counts else None,
        unaffected_lost_share=counts.lost / counts.expected if counts and counts.expected else None,
        before_p99_ms=before_p99_ms,
        limit_ms=timeline.limit_ms,
        first_drop_seconds=_since_command(watch.first_ns if watch else None, watch_s),
        last_drop_seconds=_since_command(watch.last_ns if watch else None, watch_s),
        recovered_seconds=None if recovered is None else round(recovered, 1),
        command=command.text,
        command_exit_code=command.exit_code,
        command_seconds=None if command.seconds is None else round(command.seconds, _DIGITS),
        command_output=command.output,
        seconds_begin=round(-watch_s, _DIGITS),
        lost_per_second=watch.lost_per_second if watch else [],
        reconnects_per_second=watch.reconnects_per_second if watch else [],
        timeline=timeline.seconds,
        figures=dict(judgement.figures),
    )


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else round(ns / 1e9, _DIGITS)


def _since_command(ns: int | None, watch_s: float) -> float | None:
    return None if ns is None else round(ns / 1e9 - watch_s, _DIGITS)


@dataclass(frozen=True, slots=True)
class DrillQuestion:
    """The question of a drill: who is held, by which server.

    Attributes:
        users: requested users; `noun` is e.g. `chatting users`, `details` e.g. `rooms of 20`.
        scenario, dialect: as in the answer.
    """

    users: int
    noun: str
    details: str
    scenario: str
    dialect: str


def drill_answer(question: DrillQuestion, drill: DrillRecord | None, why_not: str, *, complete: bool) -> Answer:
    """Return the answer of a drill.

    Args:
        question: the question.
        drill: the record; None if the command did not run.
        why_not: the reasons why it did not.
        complete: whether the drill was not interrupted.
    """
    if drill is None:
        headline, label = "?", "users dropped: the command did not run"
        sentence = f"The command did not run. Before it, with {_users(question)}: {why_not}."
    else:
        headline = f"{count(drill.dropped)} of {count(drill.users)}"
        label = f"{question.noun} were dropped"
        sentence = ("" if complete else "Interrupted; so far: ") + _sentence(question, drill)
    ending = "complete" if complete else "cut short"
    return _answer(question, headline, label, sentence, ending)


def answer_so_far(question: DrillQuestion, steps: Sequence[StepRecord]) -> Answer:
    """Return the answer of a drill in progress, whose users were measured in `steps`."""
    last = steps[-1]
    found = f"{last.verdict}: {'; '.join(last.reasons)}" if last.reasons else str(last.verdict)
    sentence = f"So far: the users were measured before the command ({found}). What it does to them follows at its end."
    return _answer(question, count(last.ready), f"{question.noun} are held", sentence, Ending.IN_PROGRESS)


def _answer(question: DrillQuestion, headline: str, label: str, sentence: str, ending: str) -> Answer:
    return Answer(
        supported_users=None,
        first_failing_users=None,
        generator_limited_at=None,
        limited_by=None,
        evidence=[],
        confirmed=False,
        projected_users=None,
        projected_low=None,
        projected_high=None,
        projection_warning=None,
        confirm_with=None,
        disturbance=None,
        ending=ending,
        sentence=sentence,
        headline=headline,
        headline_label=label,
        scenario=question.scenario,
        dialect=question.dialect,
    )


def _users(question: DrillQuestion) -> str:
    return f"{count(question.users)} {question.noun} ({question.details})"


def _sentence(question: DrillQuestion, drill: DrillRecord) -> str:
    parts = [_dropped(question, drill), _back(drill), _missed(drill), _others(drill)]
    sentence = "; ".join(part for part in parts if part) + "."
    return " ".join(part for part in (sentence, _recovery(drill), _verdict(drill)) if part)


def _dropped(question: DrillQuestion, drill: DrillRecord) -> str:
    held = f"{count(drill.users)} {question.noun} ({question.details})"
    if not drill.dropped:
        return f"Nobody was dropped: all {held} stayed connected"
    again = f", in {count(drill.outages)} outages" if drill.outages > drill.dropped else ""
    return f"The command dropped {count(drill.dropped)} of {held}{again}"


def _back(drill: DrillRecord) -> str:
    if not drill.dropped:
        return ""
    if drill.resync_all_seconds is None:
        return f"only {count(drill.resynced)} of them were back at the end"
    most = f"95 % were back in {_time(drill.resync_p95_seconds)}, " if drill.resync_p95_seconds is not None else ""
    return f"{most}all in {_time(drill.resync_all_seconds)}"


def _missed(drill: DrillRecord) -> str:
    if not drill.dropped:
        return ""
    return f"they missed {count(drill.messages_missed)} message{'' if drill.messages_missed == 1 else 's'}"


def _others(drill: DrillRecord) -> str:
    if drill.unaffected_p99_ms is None:
        return ""
    whose = "the others' p99" if drill.dropped else "their p99"
    return f"{whose} was {format_ms(drill.unaffected_p99_ms)}"


def _recovery(drill: DrillRecord) -> str:
    if drill.recovered_seconds:
        return f"All was as before {_time(drill.recovered_seconds)} after the command had started."
    return ""


def _verdict(drill: DrillRecord) -> str:
    if drill.verdict is Verdict.PASS:
        return ""
    opening = "Not valid" if drill.verdict is Verdict.INVALID else "SLOs not met"
    return f"{opening}: {'; '.join(drill.reasons)}."


def _time(seconds: float | None) -> str:
    return "unknown" if seconds is None else format_ms(seconds * 1000)
