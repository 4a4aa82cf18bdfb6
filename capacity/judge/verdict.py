"""The verdict on a step, from its window alone: pass, fail or invalid.

Laws:

1. A generator over its limits makes the step invalid, never fail: an overloaded generator reads late what arrived
   in time, and would call its own backlog the server's latency. One exception: a saturated server hands out its
   deliveries in bursts, and each burst keeps even a half idle generator busy for a moment. Where its CPU is within
   limits and its lag, times `lag_factor`, cannot explain by how much a level was missed, the server failed. The lag
   of a timer understates rare bursts on a generator that is otherwise idle (below three tenths of a core): the
   factor is simulated above that. A fault of the generator's own side, such as a local port that it cannot get or an
   internal error, always makes the step invalid.
2. Missing data never passes. A server whose own figures fell silent, stand still or were reset is missing data.
3. A server that misses a level under less than the intended load would miss it under all of it: that is a fail.
   Meeting every level under less than the intended load proves nothing: that is invalid.
4. A server that misses a level while others hold a good part of its full core might have held it alone: invalid.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from capacity.config.slo import strictest_latency_ms
from stampede.health.limits import STEP_CPU, STEP_LAG_DEFAULT_MS, STEP_LAG_FLOOR_MS, STEP_LAG_SHARE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from capacity.config.slo import Level
    from capacity.measure.window import ClientWindow, ServerWindow
    from stampede.generator_faults import Fault


class Outcome(StrEnum):
    """What a step came to."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INVALID = "invalid"


class Cause(StrEnum):
    """Where a reason points: at the server, at the generator, at others on its core, or at data that is not there."""

    SERVER = "server"
    GENERATOR = "generator"
    OTHERS = "others"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence of a verdict; `signal` names the figure it rests on."""

    cause: Cause
    signal: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A step's outcome, why, what else disturbed it, and what each level was compared with (None: not told)."""

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def generator_limited(self) -> bool:
        """Whether the step is invalid because the load generator had reached its own limits."""
        return self.outcome is Outcome.INVALID and any(r.cause is Cause.GENERATOR for r in self.reasons)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where trust in the load generator ends.

    Attributes:
        cpu: cores' worth of CPU of one of its processes, of the one core that a process can use.
        lag_share: its own lag (p99) as a share of the strictest latency level: more cannot be told from latency.
        lag_floor_ms, lag_default_ms: least such limit, and the limit where no level bounds latency.
        stale_s: age of a worker's last report.
        offered: share of the intended messages that must have been sent.
        ready: share of the users that must be in their rooms.
        keeping_up: share of the expected deliveries that must have come within the window.
        disturbed: cores' worth of the server's core used by others from which a note says so; `disturbing`: from which
            a fail is not believed at once, and on a core as full as `core_full` not at all unless the server itself
            took `own` of it.
        lag_factor: how much longer than the lag (p99) a delivery (p99) may have waited for the generator itself: for
            the rest of one turn of its loop, and for its place in the next. Simulated: 1.2 to 2.15.
    """

    cpu: float = STEP_CPU
    lag_share: float = STEP_LAG_SHARE
    lag_floor_ms: float = STEP_LAG_FLOOR_MS
    lag_default_ms: float = STEP_LAG_DEFAULT_MS
    stale_s: float = 3.0
    offered: float = 0.98
    ready: float = 0.99
    keeping_up: float = 0.9
    disturbed: float = 0.1
    disturbing: float = 0.2
    core_full: float = 0.9
    own: float = 0.8
    lag_factor: float = 2.2

    def lag_ms(self, levels: Sequence[Level]) -> float:
        """Return the largest lag of the generator that its measurements bear, in milliseconds."""
        strictest = strictest_latency_ms(levels)
        return self.lag_default_ms if strictest is None else max(self.lag_floor_ms, strictest * self.lag_share)


DEFAULT_LIMITS: Final = Limits()

FAULT: Final = "generator fault"
"""Signal of a reason that is a fault of the load generator's own side."""

SERVER_FILES: Final = 224
"""Descriptors that the bundled server keeps from its limit for other things than users and their uploads."""

UPLOADS: Final = 64
"""Descriptors that it keeps for uploads, but no more than for users."""


def judge(
    client: ClientWindow,
    server: ServerWindow,
    *,
    target_users: int,
    levels: Sequence[Level],
    values: Mapping[str, float | None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Verdict:
    """Judge one window in which `target_users` were asked for.

    Args:
        client: what the clients saw.
        server: what the server used.
        target_users: users that were asked for.
        levels: what it is held against.
        values: figures that the window itself does not tell, by the level's text: other seconds, other sources.
        limits: where trust ends.
    """
    known = {level.text: level.value(client) for level in levels} | dict(values or {})
    found = _judge(client, server, target_users=target_users, levels=levels, values=known, limits=limits)
    return replace(found, figures=known)


def _judge(
    client: ClientWindow,
    server: ServerWindow,
    *,
    target_users: int,
    levels: Sequence[Level],
    values: Mapping[str, float | None],
    limits: Limits,
) -> Verdict:
    notes = _disturbances(server, limits)
    lagging = _lagging(client, limits.lag_ms(levels))
    unfit = [*_missing_series(client, limits), *_generator(client, target_users, limits)]
    if unfit:
        return Verdict(Outcome.INVALID, (*unfit, *lagging), notes)
    if lagging and not _beyond_lag(client, levels, values, limits):
        return Verdict(Outcome.INVALID, tuple(lagging), notes)
    failed, missing = _levels(levels, values)
    failed = [*failed, *_standing(client, limits)]
    if failed:
        others = _core_taken(server, limits)
        if others is not None:
            return Verdict(Outcome.INVALID, (others, *failed), notes)
        aside = tuple(f"{reason.text}, too little to explain the rest" for reason in lagging)
        # An overloaded server may not even tell its metrics: that explains what the step does not know of it.
        silent = tuple(reason.text for reason in _silent(client, server))
        return Verdict(Outcome.FAIL, tuple(failed), notes + aside + silent)
    unproven = [*_offered(client, limits), *missing, *_silent(client, server)]
    return Verdict(Outcome.INVALID if unproven else Outcome.PASS, tuple(unproven), notes)


def missing(text: str) -> Verdict:
    """Return the verdict on a window that could not be taken."""
    return Verdict(Outcome.INVALID, (Reason(Cause.MISSING, "series", text),))


def _missing_series(client: ClientWindow, limits: Limits) -> list[Reason]:
    if not client.workers:
        return [Reason(Cause.MISSING, "series", "no process of the load generator reports its health")]
    reasons = []
    for worker in client.workers:
        if worker.age_s > limits.stale_s:
            text = f"worker {worker.index} last reported {worker.age_s:.1f} s ago"
            reasons.append(Reason(Cause.MISSING, "series", text))
        if worker.loop_lag_p99_ms is None:
            text = f"worker {worker.index} reports no loop lag"
            reasons.append(Reason(Cause.MISSING, "series", text))
    return reasons


def _name(client: ClientWindow, index: int) -> str:
    return "the load generator" if len(client.workers) == 1 else f"load generator worker {index}"


def own_faults(client: ClientWindow) -> list[Reason]:
    """Return a reason for each fault of the load generator's own side: no figure of such a window is the server's."""
    return [
        Reason(Cause.GENERATOR, FAULT, f"the load generator's own fault: {fault.kind}, {_often(fault)}")
        for fault in client.faults
    ]


def _often(fault: Fault) -> str:
    times = "once" if fault.count == 1 else f"{fault.count} times"
    return f"{times} ({fault.detail})" if fault.detail else times


def beyond_files(users: int, workers: int, limit: int) -> Verdict | None:
    """Return the verdict on a level that the bundled server cannot take here, however fast it is; None if it can.

    Args:
        users: of the level.
        workers: processes of the server.
        limit: files that the system lets each of them open.
    """
    left = limit - SERVER_FILES
    most = workers * max(1, left - UPLOADS if left // 2 > UPLOADS else left // 2)
    if users <= most:
        return None
    text = (
        f"the load generator's own fault: open files, this machine lets each server process open {limit} (ulimit -n): "
        f"enough for {most} users"
    )
    return Verdict(Outcome.INVALID, (Reason(Cause.GENERATOR, FAULT, text),))


def _generator(client: ClientWindow, target_users: int, limits: Limits) -> list[Reason]:
    reasons = own_faults(client)
    for worker in client.workers:
        if worker.cpu >= limits.cpu:
            text = f"{_name(client, worker.index)} used {worker.cpu:.2f} of its core, limit {limits.cpu:.2f}"
            reasons.append(Reason(Cause.GENERATOR, "generator cpu", text))
    if client.users < target_users:
        text = f"the load generator had started {client.users} of {target_users} users"
        reasons.append(Reason(Cause.GENERATOR, "generator users", text))
    return reasons


def _lagging(client: ClientWindow, limit_ms: float) -> list[Reason]:
    reasons = []
    for worker in client.workers:
        for signal, lag in (("loop lag", worker.loop_lag_p99_ms), ("send lag", worker.send_lag_p99_ms)):
            if lag is not None and lag > limit_ms:
                text = f"{_name(client, worker.index)}: own {signal} p99 {lag:.0f} ms, limit {limit_ms:.0f} ms"
                reasons.append(Reason(Cause.GENERATOR, f"generator {signal}", text))
    return reasons


def _beyond_lag(
    client: ClientWindow, levels: Sequence[Level], values: Mapping[str, float | None], limits: Limits
) -> bool:
    """Tell whether the generator's own lag cannot explain what was missed; the send lag comes before the loop lag."""
    lag_ms = limits.lag_factor * max((w.loop_lag_p99_ms or 0.0) + (w.send_lag_p99_ms or 0.0) for w in client.workers)
    share = client.keeping_up
    if share is not None and share < limits.keeping_up and (1 - share) * client.seconds * 1000 > lag_ms:
        return True
    bounds = ((values[level.text], level.threshold) for level in levels if level.is_delivery_latency)
    return any(value is not None and value > threshold + lag_ms for value, threshold in bounds)


def _standing(client: ClientWindow, limits: Limits) -> list[Reason]:
    """What no server may do, whatever the levels say: not let users in, not keep pace with what they send."""
    reasons = []
    if client.ready < limits.ready * client.users:
        text = f"only {client.ready} of {client.users} users got into their rooms"
        reasons.append(Reason(Cause.SERVER, "admission", text))
    share = client.keeping_up
    if share is not None and share < limits.keeping_up:
        text = f"only {share * 100:.0f} % of the expected deliveries came within the window"
        reasons.append(Reason(Cause.SERVER, "backlog", text))
    return reasons


def _levels(levels: Sequence[Level], values: Mapping[str, float | None]) -> tuple[list[Reason], list[Reason]]:
    failed, unknown = [], []
    for level in levels:
        value = values[level.text]
        if value is None:
            text = f"nothing in the window tells {level.figure}"
            unknown.append(Reason(Cause.MISSING, level.figure, text))
        elif not level.is_met(value):
            text = f"missed {level.text}: {level.show(value)}"
            failed.append(Reason(Cause.SERVER, level.figure, text))
    return failed, unknown


def _offered(client: ClientWindow, limits: Limits) -> list[Reason]:
    sends = client.sends
    if sends.sent >= limits.offered * sends.intended and sends.skipped <= (1 - limits.offered) * sends.intended:
        return []
    text = f"only {sends.sent} of {sends.intended} intended messages were sent ({sends.skipped} skipped)"
    return [Reason(Cause.GENERATOR, "offered rate", text)]


def _silent(client: ClientWindow, server: ServerWindow) -> list[Reason]:
    """What the server's own figures should tell and do not."""
    text = server.problem
    if text is None and server.delivered == 0 and client.deliveries.received:
        text = f"the server's metrics stand still: no delivery counted, {client.deliveries.received} received"
    return [Reason(Cause.MISSING, "server metrics", text)] if text else []


def _core_taken(server: ServerWindow, limits: Limits) -> Reason | None:
    """Tell that others held a good part of the server's core while it was full."""
    cpu, foreign = server.cpu_share, server.core_foreign
    if cpu is None or foreign is None or foreign < limits.disturbing:
        return None
    if cpu >= limits.own or cpu + foreign < limits.core_full:
        return None
    text = f"others held {foreign * 100:.0f} % of the server's core, which was full; the server got {cpu * 100:.0f} %"
    return Reason(Cause.OTHERS, "others on the server's core", text)


def _disturbances(server: ServerWindow, limits: Limits) -> tuple[str, ...]:
    notes = []
    foreign = server.core_foreign
    if foreign is not None and foreign >= limits.disturbed:
        notes.append(f"others used {foreign:.2f} of the server's core")
    if server.core_stolen is not None and server.core_stolen >= limits.disturbed / 2:
        notes.append(f"the hypervisor withheld {server.core_stolen * 100:.0f} % of the server's core")
    return tuple(notes)
