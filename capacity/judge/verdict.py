"""Judge a step by its measurement window: pass, fail or invalid. Pure.

Rules:

1. A load generator over its limits makes the step invalid: an overloaded generator reads messages late and would
   report its own backlog as the server's latency. There are two exceptions. The step passes if it meets its SLO on
   latency, which counts from the intended send to the read and so includes what the generator delays. The server
   failed if the generator's lag, times `lag_factor`, cannot explain by how much the latency missed its SLO: a saturated
   server delivers in bursts, and each burst keeps the generator busy for a moment. (Below three tenths of a core the
   lag of a timer understates rare bursts; the factor is simulated above that, and for more than a whole core.)
   Deliveries that are missing at the end of the window prove the same, unless the generator's core was full: then it
   may not have read them. A fault on the generator's side, such as a lack of local ports or an internal error, always
   makes the step invalid.
2. Missing data never passes. Server figures that stop, do not change or were reset are missing data.
3. A server that misses an SLO under less than the intended load would miss it under the full load: fail. Meeting every
   SLO under less than the intended load proves nothing: invalid.
4. A server that misses an SLO while other processes use a good part of its full core might have met it alone: invalid.
   Exception: its threads had nothing to do for a part of the window, and waited for a core too briefly to explain the
   failure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from capacity.judge.generator_health import (
    busy_workers,
    generator_faults,
    lagging_workers,
    missing_health,
    missing_users,
    unconnected_workers,
    waiting_users,
)
from capacity.judge.instances import bus_reasons
from capacity.judge.judgement import Judgement, Reason
from capacity.judge.limits import DEFAULT_LIMITS, Limits
from capacity.record.step import LATENCY_INCLUDES_DELAY, Cause, Verdict
from stampede.measure.address_pairs import address_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.config.slo import RunSlo
    from capacity.measure.client_window import ClientWindow
    from capacity.measure.server_window import ServerWindow


def judge(
    client: ClientWindow,
    server: ServerWindow,
    *,
    target_users: int,
    slos: Sequence[RunSlo],
    values: Mapping[str, float | None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Judgement:
    """Judge one window.

    Args:
        client: measurements of the clients.
        server: measurements of the server.
        target_users: requested users.
        slos: the SLOs that the window must meet.
        values: figures that the window does not contain, by the text of their SLO: of another span or from Prometheus.
        limits: limits of the measurement.
    """
    figures = {slo.text: slo.value(client) for slo in slos} | dict(values or {})
    judgement = _judge(client, server, target_users=target_users, slos=slos, figures=figures, limits=limits)
    return replace(judgement, figures=figures)


def _judge(
    client: ClientWindow,
    server: ServerWindow,
    *,
    target_users: int,
    slos: Sequence[RunSlo],
    figures: Mapping[str, float | None],
    limits: Limits,
) -> Judgement:
    notes = _disturbances(server, limits)
    lagging = lagging_workers(client, limits.lag_ms(slos))
    unfit = [
        *missing_health(client, limits),
        *generator_faults(client),
        *missing_users(client, target_users),
        *unconnected_workers(client),
    ]
    busy = busy_workers(client, limits)
    overloaded = (*busy, *lagging, *waiting_users(client, limits))
    if unfit:
        return Judgement(Verdict.INVALID, (*unfit, *overloaded), notes)
    lag_ms = _lag_ms(client, limits)
    is_proven = _latency_exceeds(lag_ms, slos, figures) or (not busy and _backlog_exceeds(lag_ms, client, limits))
    missed, unknown = compare_with_slos(slos, figures)
    missed = [*missed, *_implicit_slos(client, limits)]
    if missed and overloaded and not is_proven:
        return Judgement(Verdict.INVALID, overloaded, notes)
    if missed:
        if any(reason.signal in ("loss", "backlog") for reason in missed):
            missed = [*bus_reasons(address_pairs(client.address_pairs)), *missed]
        others, waited_ms = _core_taken(server, limits), _waited_ms(server, limits)
        is_explained = waited_ms is None or not (
            _latency_exceeds(waited_ms, slos, figures) or _backlog_exceeds(waited_ms, client, limits)
        )
        if others is not None and is_explained:
            return Judgement(Verdict.INVALID, (others, *missed), notes)
        aside = tuple(f"{reason.text}; the lag does not explain the failure" for reason in overloaded)
        # An overloaded server may not even serve its metrics, which explains why they are missing.
        silent = tuple(reason.text for reason in _missing_metrics(client, server))
        return Judgement(Verdict.FAIL, tuple(missed), notes + aside + silent)
    unproven = [*_unsent(client, limits), *unknown, *_missing_metrics(client, server)]
    if not _latency_includes_delays(client, slos, limits):
        unproven += overloaded
    if unproven:
        return Judgement(Verdict.INVALID, tuple(unproven), notes)
    included = tuple(f"{reason.text}; {LATENCY_INCLUDES_DELAY}" for reason in overloaded)
    return Judgement(Verdict.PASS, (), notes + included)


def _latency_includes_delays(client: ClientWindow, slos: Sequence[RunSlo], limits: Limits) -> bool:
    """Return whether an SLO bounds the generator's delays: deliveries that have not arrived have no latency yet."""
    kept_up = client.keeping_up
    return any(slo.is_delivery_latency for slo in slos) and (kept_up is None or kept_up >= limits.offered)


def compare_with_slos(slos: Sequence[RunSlo], figures: Mapping[str, float | None]) -> tuple[list[Reason], list[Reason]]:
    """Return a reason for each missed SLO, and one for each SLO without data."""
    missed, unknown = [], []
    for slo in slos:
        value = figures[slo.text]
        if value is None:
            unknown.append(Reason(Cause.MISSING, slo.figure, f"no data for {slo.figure}"))
        elif not slo.is_met(value):
            missed.append(Reason(Cause.SERVER, slo.figure, f"missed {slo.text}: {slo.show(value)}"))
    return missed, unknown


def _lag_ms(client: ClientWindow, limits: Limits) -> float:
    """Return the delay of deliveries that the generator's lag explains; send lag and loop lag add up."""
    return limits.lag_factor * max((w.loop_lag_p99_ms or 0.0) + (w.send_lag_p99_ms or 0.0) for w in client.workers)


def _latency_exceeds(delay_ms: float, slos: Sequence[RunSlo], figures: Mapping[str, float | None]) -> bool:
    """Return whether a latency of deliveries misses its SLO by more than a delay."""
    bounds = ((figures[slo.text], slo.threshold) for slo in slos if slo.is_delivery_latency)
    return any(value is not None and value > threshold + delay_ms for value, threshold in bounds)


def _backlog_exceeds(delay_ms: float, client: ClientWindow, limits: Limits) -> bool:
    """Return whether deliveries are missing at the end of the window that a delay does not explain."""
    kept_up = client.keeping_up
    return kept_up is not None and kept_up < limits.keeping_up and (1 - kept_up) * client.seconds * 1000 > delay_ms


def _implicit_slos(client: ClientWindow, limits: Limits) -> list[Reason]:
    """Return a reason for each duty that a server fails under any SLOs: to admit the users, and to keep pace."""
    reasons = []
    if client.ready < limits.ready * client.chat_users:
        text = f"only {client.ready} of {client.chat_users} users joined their rooms"
        reasons.append(Reason(Cause.SERVER, "admission", text))
    kept_up = client.keeping_up
    if kept_up is not None and kept_up < limits.keeping_up:
        text = f"only {kept_up * 100:.0f} % of the expected deliveries arrived in the window"
        reasons.append(Reason(Cause.SERVER, "backlog", text))
    return reasons


def _unsent(client: ClientWindow, limits: Limits) -> list[Reason]:
    sends = client.sends
    if sends.sent >= limits.offered * sends.intended and sends.skipped <= (1 - limits.offered) * sends.intended:
        return []
    text = f"only {sends.sent} of {sends.intended} intended messages were sent ({sends.skipped} skipped)"
    return [Reason(Cause.GENERATOR, "offered rate", text)]


def _missing_metrics(client: ClientWindow, server: ServerWindow) -> list[Reason]:
    """Return a reason if the server's own figures are missing although they are expected."""
    text = server.problem
    if text is None and server.delivered == 0 and client.deliveries.received:
        text = f"the server's metrics do not change: no delivery counted, {client.deliveries.received} received"
    return [Reason(Cause.MISSING, "server metrics", text)] if text else []


def _core_taken(server: ServerWindow, limits: Limits) -> Reason | None:
    """Return a reason if other processes used a good part of the server's core while the core was full."""
    cpu, foreign = server.core_share, server.core_foreign
    if cpu is None or foreign is None or foreign < limits.disturbing:
        return None
    if cpu >= limits.own or cpu + foreign < limits.core_full:
        return None
    text = (
        f"other processes used {foreign * 100:.0f} % of the server's core, which was full; "
        f"the server got {cpu * 100:.0f} %"
    )
    return Reason(Cause.OTHERS, "others on the server's core", text)


def _waited_ms(server: ServerWindow, limits: Limits) -> float | None:
    """Return how long the server's threads waited for a core; None if that is unknown, or they always needed one."""
    system = server.system
    if system is None or system.waited_s is None or system.runnable is None or system.runnable >= limits.core_full:
        return None
    return 1000 * system.waited_s


def _disturbances(server: ServerWindow, limits: Limits) -> tuple[str, ...]:
    notes = []
    foreign = server.core_foreign
    if foreign is not None and foreign >= limits.disturbed:
        notes.append(f"other processes used {foreign:.2f} of the server's core")
    if server.core_stolen is not None and server.core_stolen >= limits.disturbed / 2:
        notes.append(f"the hypervisor withheld {server.core_stolen * 100:.0f} % of the server's core")
    return tuple(notes)
