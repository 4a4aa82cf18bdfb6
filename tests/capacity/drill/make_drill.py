"""Make synthetic watches and records of drills. Figures that a test does not set are those of a healthy drill."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from capacity.config.slo import DEFAULT_DRILL_SLOS, parse_slo
from capacity.drill.judge import CommandOutcome, judge_drill
from capacity.drill.result import CommandRecord, DrillQuestion, drill_answer, drill_record
from capacity.drill.timeline import Timeline
from capacity.judge.limits import DEFAULT_LIMITS
from capacity.search.search import Ending
from capacity.storms.judge import StormWindow
from stampede.measure.storm_results import StormResult, WatchResult
from tests.capacity import make

if TYPE_CHECKING:
    from capacity.measure.client_window import ClientWindow
    from capacity.record.drill import DrillRecord
    from capacity.record.report import RunReport

SLOS = tuple(parse_slo(text) for text in DEFAULT_DRILL_SLOS)
QUESTION = DrillQuestion(100, "chatting users", "rooms of 20, one message a second each", "ChattingUser=1", "stampede")
DONE = CommandOutcome(0, None, "")


def watch(**figures: Any) -> StormResult:
    """Return a watch in which 40 of 100 users were dropped, and were back within two seconds."""
    healthy: dict[str, Any] = {
        "id": 1,
        "at_s": 4.0,
        "users": 100,
        "dropped": 40,
        "outages": 40,
        "drop_ns": 600_000_000,
        "resynced": 40,
        "gone": 0,
        "over": True,
        "resync_ns": {"0.5": 0.8e9, "0.95": 1.6e9, "1": 1.9e9},
        "peak_accepts_per_second": 31,
        "unaffected": make.histogram(*[9.0] * 100),
        "missed": 400,
        "watch": WatchResult(
            processes=1,
            is_ended=True,
            lost=40,
            causes={"connection lost: 1012": 40},
            first_ns=900_000_000,
            last_ns=1_500_000_000,
            lost_per_second=[10, 30],
            reconnects_per_second=[0, 9, 31],
        ),
    }
    return StormResult(**(healthy | figures))


def untouched() -> StormResult:
    """Return a watch in which nobody was dropped."""
    nothing = WatchResult(
        processes=1,
        is_ended=True,
        lost=0,
        causes={},
        first_ns=None,
        last_ns=None,
        lost_per_second=[],
        reconnects_per_second=[],
    )
    unknown = dict.fromkeys(("0.5", "0.95", "1"))
    return watch(dropped=0, outages=0, resynced=0, resync_ns=unknown, missed=0, watch=nothing)


def client(back_ms: float = 1600.0, **figures: Any) -> ClientWindow:
    """Return the clients during a drill; `back_ms` is the resync time of all."""
    return make.client(resync=make.histogram(*[back_ms] * 40), **figures)


def timeline(*ready: int, p99_ms: float = 9.0) -> Timeline:
    """Return a time line of 100 users with these users in their rooms after each second."""
    made = Timeline(100, 250.0)
    for second, users in enumerate(ready or (100, 70, 100, 100, 100, 100, 100), 1):
        made.add(float(second), users, p99_ms, has_outage=False)
    return made


def record(
    storm: StormResult | None = None,
    *,
    clients: ClientWindow | None = None,
    outcome: CommandOutcome = DONE,
    output: tuple[str, ...] = (),
    time: Timeline | None = None,
) -> DrillRecord:
    """Return the record of a drill, judged by the default SLOs."""
    storm, clients, time = storm or watch(), clients or client(), time or timeline()
    window = StormWindow(storm, clients, make.server(), 5.0)
    judgement = judge_drill(window, outcome, SLOS, DEFAULT_LIMITS, recovered=time.recovered_s is not None)
    command = CommandRecord("./deploy.sh", outcome.exit_code, 2.5, list(output))
    return drill_record(storm, clients, judgement, command, time, watch_s=0.4, before_p99_ms=8.0)


def sentence(drill: DrillRecord, *, complete: bool = True) -> str:
    """Return the answer of a drill."""
    return drill_answer(QUESTION, drill, "", complete=complete).sentence


def report(drill: DrillRecord) -> RunReport:
    """Return the report of a drill."""
    answer = drill_answer(QUESTION, drill, "", complete=True)
    levels = [slo.text for slo in SLOS]
    return make.report(
        [make.step(100, purpose="baseline")], Ending.STEPS_DONE, answer=answer, drill=drill, levels=levels
    )


def lost_twice(storm: StormResult) -> StormResult:
    """Return a watch in which some users were dropped a second time."""
    return replace(storm, outages=55, resynced=40)
