"""Check that the load generator was within its limits: its faults, CPU, users and lag. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from capacity.judge.judgement import Judgement, Reason
from capacity.measure.workers import worker_name
from capacity.record.step import Cause, Verdict
from stampede.health.limits import MAX_OVERDUE_NS

if TYPE_CHECKING:
    from capacity.judge.limits import Limits
    from capacity.measure.client_window import ClientWindow, WorkerWindow
    from stampede.generator_faults import Fault

FAULT: Final = "generator fault"
"""Signal of a reason that is a fault on the load generator's side."""

# How the bundled server divides its file limit: see `server.runtime.rlimits`.
_RESERVED_FILES: Final = 352
_MAX_UPLOADS: Final = 64


def missing_health(client: ClientWindow, limits: Limits) -> list[Reason]:
    """Return a reason for each worker whose health is unknown or out of date."""
    if not client.workers:
        return [Reason(Cause.MISSING, "series", "no load generator worker reports its health")]
    reasons = []
    for worker in client.workers:
        name = _name(client, worker)
        if worker.age_s > limits.stale_s:
            text = f"{name} last reported {worker.age_s:.1f} s ago"
            reasons.append(Reason(Cause.MISSING, "series", text, name))
        if worker.loop_lag_p99_ms is None:
            reasons.append(Reason(Cause.MISSING, "series", f"{name} reports no loop lag", name))
    return reasons


def generator_faults(client: ClientWindow) -> list[Reason]:
    """Return a reason for each fault on the load generator's side; it invalidates every figure of the window."""
    return [
        Reason(Cause.GENERATOR, FAULT, f"load generator fault: {fault.kind}, {_occurrences(fault)}")
        for fault in client.faults
    ]


def _occurrences(fault: Fault) -> str:
    times = "once" if fault.count == 1 else f"{fault.count} times"
    return f"{times} ({fault.detail})" if fault.detail else times


def busy_workers(client: ClientWindow, limits: Limits) -> list[Reason]:
    """Return a reason for each worker at its CPU limit."""
    return [
        Reason(
            Cause.GENERATOR,
            "generator cpu",
            f"{_name(client, worker)} used {worker.cpu:.2f} of its core, limit {limits.cpu:.2f}",
            _name(client, worker),
        )
        for worker in client.workers
        if worker.cpu >= limits.cpu
    ]


def missing_users(client: ClientWindow, target_users: int) -> list[Reason]:
    """Return a reason if the load generator did not start all users."""
    if client.users >= target_users:
        return []
    text = f"the load generator had started {client.users} of {target_users} users"
    return [Reason(Cause.GENERATOR, "generator users", text)]


def unconnected_workers(client: ClientWindow) -> list[Reason]:
    """Return a reason for each worker none of whose users is connected, if those of others are.

    Its machine does not reach the server, which is no fault of a server that serves the others.
    """
    if not any(worker.connections for worker in client.workers):
        return []
    return [
        Reason(
            Cause.GENERATOR,
            "generator connections",
            f"{_name(client, worker)} has no connection to the server, others have",
            _name(client, worker),
        )
        for worker in client.workers
        if worker.users and worker.connections == 0
    ]


def lagging_workers(client: ClientWindow, limit_ms: float) -> list[Reason]:
    """Return a reason for each worker whose loop lag or send lag exceeds a limit."""
    reasons = []
    for worker in client.workers:
        for signal, lag in (("loop lag", worker.loop_lag_p99_ms), ("send lag", worker.send_lag_p99_ms)):
            if lag is not None and lag > limit_ms:
                name = _name(client, worker)
                text = f"{name}: {signal} p99 {lag:.0f} ms, limit {limit_ms:.0f} ms"
                reasons.append(Reason(Cause.GENERATOR, f"generator {signal}", text, name))
    return reasons


def waiting_users(client: ClientWindow, limits: Limits) -> list[Reason]:
    """Return a reason for each worker that sent messages so late that its new users may have waited to connect."""
    if client.ready >= limits.ready * client.chat_users:
        return []
    return [
        Reason(
            Cause.GENERATOR,
            "generator users",
            f"{_name(client, worker)} sent messages late (p99 {worker.send_lag_p99_ms:.0f} ms), so new users waited",
            _name(client, worker),
        )
        for worker in client.workers
        if worker.send_lag_p99_ms is not None and worker.send_lag_p99_ms * 1e6 > MAX_OVERDUE_NS
    ]


def _name(client: ClientWindow, worker: WorkerWindow) -> str:
    return worker_name(worker.index, worker.host, len(client.workers))


def check_file_limit(users: int, workers: int, limit: int) -> Judgement | None:
    """Return the judgement on a level for which the bundled server may open too few files here; None if it is enough.

    Args:
        users: users of the level.
        workers: processes of the server.
        limit: file limit of each of them.
    """
    available = limit - _RESERVED_FILES
    half = available // 2
    capacity = workers * max(1, available - _MAX_UPLOADS if half > _MAX_UPLOADS else half)
    if users <= capacity:
        return None
    text = (
        f"load generator fault: open files, this machine lets each server process open {limit} (ulimit -n): "
        f"enough for {capacity} users"
    )
    return Judgement(Verdict.INVALID, (Reason(Cause.GENERATOR, FAULT, text),))
