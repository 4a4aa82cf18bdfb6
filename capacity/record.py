"""What a run leaves behind: the structs of `report.json`, and the one table of what a step knows.

Every figure of a step is of its measuring window; None is 'not known', never zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from capacity.window import ClientWindow, ServerWindow, quantile_ms

if TYPE_CHECKING:
    from capacity.search import Purpose
    from capacity.verdict import Verdict

REPORT_VERSION = 1


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step: what was asked, what was seen, what it came to.

    Attributes:
        started_s: since the search began; `settle_s` and `window_s` follow it.
        offered_per_s: deliveries expected per second; `delivered_per_s`: those that came.
        deliver_*: from the intended send (the stricter clock); `deliver_sent_*`: from the actual one.
        signals: names of the figures that the reasons rest on, in the same order.
        server_cpu: cores used by the server process; `server_core_foreign`: cores' worth of its core used by others.
        generator_cpu: cores used by each process of the load generator.
    """

    users: int
    purpose: str
    verdict: str
    reasons: list[str]
    signals: list[str]
    notes: list[str]
    started_s: float
    settle_s: float
    window_s: float | None = None
    ready: int | None = None
    room_size: float | None = None
    offered_per_s: float | None = None
    delivered_per_s: float | None = None
    sends_intended: int | None = None
    sends: int | None = None
    sends_skipped: int | None = None
    deliver_p50_ms: float | None = None
    deliver_p90_ms: float | None = None
    deliver_p99_ms: float | None = None
    deliver_p999_ms: float | None = None
    deliver_sent_p50_ms: float | None = None
    deliver_sent_p90_ms: float | None = None
    deliver_sent_p99_ms: float | None = None
    deliver_sent_p999_ms: float | None = None
    expected: int | None = None
    received: int | None = None
    lost: int | None = None
    duplicated: int | None = None
    reordered: int | None = None
    errors: int | None = None
    server_cpu: float | None = None
    server_core_foreign: float | None = None
    server_loop_lag_p99_ms: float | None = None
    server_rss_bytes: int | None = None
    server_memory_bytes: int | None = None
    server_fds: int | None = None
    server_fds_limit: int | None = None
    server_dropped: int | None = None
    server_kills: int | None = None
    generator_cpu: list[float] = []
    generator_loop_lag_p99_ms: float | None = None
    generator_send_lag_p99_ms: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Measured and projected figures never share a field.

    Attributes:
        supported_users: highest level that met every service level; None when none did.
        first_failing_users: lowest level that failed; None when none did.
        generator_limited_at: lowest level at which the load generator, not the server, was the limit.
        limited_by: the signal that gave out first, with its evidence beside it.
        confirmed: whether `supported_users` passed again as often as the search asks.
        projected_users: users at which a line through the server's CPU fills its core, with its 95 % interval.
        confirm_with: command that would measure what is only projected.
        disturbance: what else used the server's core during the run, or None where nothing much did.
        ending: why the search ended.
    """

    supported_users: int | None
    first_failing_users: int | None
    generator_limited_at: int | None
    limited_by: str | None
    evidence: list[str]
    confirmed: bool
    projected_users: int | None
    projected_low: int | None
    projected_high: int | None
    projection_warning: str | None
    confirm_with: str | None
    disturbance: str | None
    ending: str
    sentence: str
    headline: str
    headline_label: str


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what the run was made."""

    started_at: str
    host: str
    system: str
    cpu_model: str | None
    cores: int
    memory_bytes: int
    python: str
    libraries: dict[str, str]
    revision: str | None
    server_cores: list[int] | None
    generator_cores: list[int] | None
    generator_processes: int
    file_limit: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of `report.json`.

    Attributes:
        status: `complete` or `partial`; `status_reason` says why it is partial.
        missing: what could not be measured at all, e.g. the server's own figures without `/metrics`.
        command: how to repeat the run.
    """

    version: int = REPORT_VERSION
    status: str
    status_reason: str | None
    answer: Answer
    steps: list[StepRecord]
    levels: list[str]
    settings: dict[str, str | int | float | bool | None]
    environment: Environment
    missing: list[str]
    command: str
    duration_s: float


def step_record(
    *,
    users: int,
    purpose: Purpose,
    verdict: Verdict,
    started_s: float,
    settle_s: float,
    client: ClientWindow | None,
    server: ServerWindow,
) -> StepRecord:
    """Put a step's window and verdict into its line of the table."""
    own = {
        "users": users,
        "purpose": str(purpose),
        "verdict": str(verdict.outcome),
        "reasons": [reason.text for reason in verdict.reasons],
        "signals": [reason.signal for reason in verdict.reasons],
        "notes": list(verdict.notes),
        "started_s": round(started_s, 2),
        "settle_s": round(settle_s, 2),
    }
    measured = _server_figures(server) | (_client_figures(client) if client else {})
    return msgspec.convert(own | {name: _rounded(value) for name, value in measured.items()}, StepRecord)


def _rounded(value: object) -> object:
    """Leave out digits that no measurement has."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _client_figures(client: ClientWindow) -> dict[str, object]:
    intended, sent = client.latency_intended, client.latency_sent
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    loop_lags = [w.loop_lag_p99_ms for w in client.workers if w.loop_lag_p99_ms is not None]
    send_lags = [w.send_lag_p99_ms for w in client.workers if w.send_lag_p99_ms is not None]
    return {
        "window_s": client.seconds,
        "ready": client.ready,
        "room_size": client.room_size,
        "offered_per_s": client.expected / client.seconds,
        "delivered_per_s": client.received / client.seconds,
        "sends_intended": client.intended,
        "sends": client.sent,
        "sends_skipped": client.skipped,
        **{f"deliver_{name}_ms": quantile_ms(intended, rank) for name, rank in ranks.items()},
        **{f"deliver_sent_{name}_ms": quantile_ms(sent, rank) for name, rank in ranks.items()},
        "expected": client.expected,
        "received": client.received,
        "lost": client.lost,
        "duplicated": client.duplicated,
        "reordered": client.reordered,
        "errors": client.failures,
        "generator_cpu": [round(worker.cpu, 3) for worker in client.workers],
        "generator_loop_lag_p99_ms": max(loop_lags, default=None),
        "generator_send_lag_p99_ms": max(send_lags, default=None),
    }


def _server_figures(server: ServerWindow) -> dict[str, object]:
    return {
        "server_cpu": server.cpu,
        "server_core_foreign": server.core_foreign,
        "server_loop_lag_p99_ms": server.loop_lag_p99_ms,
        "server_rss_bytes": server.rss_bytes,
        "server_memory_bytes": server.memory_bytes,
        "server_fds": server.fds,
        "server_fds_limit": server.fds_limit,
        "server_dropped": server.dropped,
        "server_kills": server.kills,
    }
