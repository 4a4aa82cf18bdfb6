"""Judge one reconnect storm, on command or caused by the server. Pure.

SLOs on `resync` apply to the dropped users, SLOs on `deliver` to the others. Messages that dropped users miss while
they are disconnected are not lost by the server: they are counted and not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from capacity.judge.generator_health import busy_workers, generator_faults, lagging_workers
from capacity.judge.judgement import Judgement, Reason
from capacity.record.step import Cause, Verdict
from stampede.measure.figures import Latency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capacity.config.slo import RunSlo
    from capacity.judge.limits import Limits
    from capacity.measure.client_window import ClientWindow
    from capacity.measure.server_window import ServerWindow
    from stampede.measure.storm_results import StormResult

_RESYNC_STEPS: Final = 4  # connect, upgrade, join, first delivery


@dataclass(frozen=True, slots=True)
class StormWindow:
    """One storm, from the drop until all users have resynced or the timeout has passed.

    Attributes:
        storm: the generator's report of it.
        client, server: all other measurements of that time.
        waited_s: seconds since the drop.
    """

    storm: StormResult
    client: ClientWindow
    server: ServerWindow
    waited_s: float


def judge_storm(window: StormWindow, slos: Sequence[RunSlo], limits: Limits) -> Judgement:
    """Judge one storm. A fault of the load generator, or lag that may be part of a figure, makes the storm invalid."""
    client, storm = window.client, window.storm
    unfit = [
        *generator_faults(client),
        *busy_workers(client, limits),
        *lagging_workers(client, lag_limit_ms(slos, limits)),
    ]
    unaffected = replace(client, latency=Latency(storm.unaffected, storm.unaffected))
    figures = {slo.text: slo.value(unaffected) for slo in slos}
    missed, unknown = [], []
    resynced = storm.resynced + storm.gone
    if resynced < storm.dropped:
        text = f"only {resynced} of {storm.dropped} dropped users resynced within {window.waited_s:.0f} s"
        missed.append(Reason(Cause.SERVER, "resync", text))
    for slo in slos:
        value = figures[slo.text]
        if value is not None and not slo.is_met(value):
            missed.append(Reason(Cause.SERVER, slo.figure, f"missed {slo.text}: {slo.show(value)}"))
        elif value is None and not _is_vacuous(slo, storm):
            unknown.append(Reason(Cause.MISSING, slo.figure, f"no data for {slo.figure}"))
    if unfit:
        return Judgement(Verdict.INVALID, (*unfit, *missed), (), figures)
    if missed:
        return Judgement(Verdict.FAIL, tuple(missed), (), figures)
    return Judgement(Verdict.INVALID if unknown else Verdict.PASS, tuple(unknown), (), figures)


def _is_vacuous(slo: RunSlo, storm: StormResult) -> bool:
    """Return whether an SLO bounds nothing: no user was dropped, or all were, so that none is unaffected."""
    return (slo.is_resync and not storm.dropped) or (slo.is_delivery_latency and storm.dropped == storm.users)


def lag_limit_ms(slos: Sequence[RunSlo], limits: Limits) -> float:
    """Return the longest tolerable lag of the load generator during a storm, in milliseconds.

    Each of the four steps of a resync waits for the generator, so its lag is in a resync time several times.
    """
    found = [limits.lag_share * slo.threshold / _RESYNC_STEPS for slo in slos if slo.is_resync]
    if not found or any(slo.is_delivery_latency for slo in slos):
        found.append(limits.lag_ms(slos))
    return max(limits.lag_floor_ms, min(found))
