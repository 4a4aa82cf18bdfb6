"""The record of a step, from its measurement and its judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from capacity.measure.client_window import ClientWindow, mean_ms, quantile_ms
from capacity.record.step import StepRecord, Verdict
from stampede.measure.address_pairs import address_pairs

if TYPE_CHECKING:
    from capacity.judge.judgement import Judgement
    from capacity.measure.server_window import ServerWindow
    from capacity.measure.system_sample import SystemWindow
    from capacity.search.search import Purpose


def step_record(
    *,
    users: int,
    purpose: Purpose,
    judgement: Judgement,
    started_s: float,
    settle_s: float,
    client: ClientWindow | None,
    server: ServerWindow,
) -> StepRecord:
    """Return the record of a step, with figures rounded to four digits."""
    own = {
        "users": users,
        "purpose": str(purpose),
        "verdict": judgement.verdict,
        "reasons": [reason.text for reason in judgement.reasons],
        "signals": [reason.signal for reason in judgement.reasons],
        "causes": [reason.cause for reason in judgement.reasons],
        "notes": list(judgement.notes),
        "invalid_workers": _workers_at_fault(judgement),
        "figures": {name: _rounded(value) for name, value in judgement.figures.items()},
        "started_s": round(started_s, 2),
        "settle_s": round(settle_s, 2),
    }
    measured = _server_figures(server) | (_client_figures(client) if client else {})
    return msgspec.convert(own | {name: _rounded(value) for name, value in measured.items()}, StepRecord)


def _workers_at_fault(judgement: Judgement) -> list[str]:
    """Return the names of the load generator's workers that made a step invalid."""
    if judgement.verdict is not Verdict.INVALID:
        return []
    return sorted({reason.worker for reason in judgement.reasons if reason.worker is not None})


def _rounded(value: object) -> object:
    """Drop digits beyond the precision of the measurement."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _client_figures(client: ClientWindow) -> dict[str, object]:
    intended, sent = client.latency.intended, client.latency.sent
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    loop_lags = [w.loop_lag_p99_ms for w in client.workers if w.loop_lag_p99_ms is not None]
    send_lags = [w.send_lag_p99_ms for w in client.workers if w.send_lag_p99_ms is not None]
    return {
        "window_s": client.seconds,
        "deliver_mean_ms": mean_ms(intended),
        "resync_p95_ms": quantile_ms(client.resync, 0.95),
        "ready": client.ready,
        "timed_users": client.timed_users,
        "room_size": client.room_size,
        "offered_per_s": client.deliveries.expected / client.seconds,
        "delivered_per_s": client.deliveries.received / client.seconds,
        "sends_intended": client.sends.intended,
        "sends": client.sends.sent,
        "sends_skipped": client.sends.skipped,
        **{f"deliver_{name}_ms": quantile_ms(intended, rank) for name, rank in ranks.items()},
        **{f"deliver_sent_{name}_ms": quantile_ms(sent, rank) for name, rank in ranks.items()},
        "expected": client.deliveries.expected,
        "received": client.deliveries.received,
        "lost": client.deliveries.lost,
        "duplicated": client.deliveries.duplicated,
        "reordered": client.deliveries.reordered,
        "late": client.deliveries.late,
        "churned": client.deliveries.churned,
        "errors": client.failures,
        "address_pairs": address_pairs(client.address_pairs),
        "generator_cpu": [round(worker.cpu, 3) for worker in client.workers],
        "generator_loop_lag_p99_ms": max(loop_lags, default=None),
        "generator_send_lag_p99_ms": max(send_lags, default=None),
    }


def _server_figures(server: ServerWindow) -> dict[str, object]:
    return {
        "server_cpu": server.cpu,
        "server_cpu_busiest": server.cpu_busiest,
        "server_processes": server.processes,
        "server_core_foreign": server.core_foreign,
        "server_loop_lag_p99_ms": server.loop_lag_p99_ms,
        "server_rss_bytes": server.rss_bytes,
        "server_memory_bytes": server.memory_bytes,
        "server_fds": server.fds,
        "server_fds_limit": server.fds_limit,
        "server_dropped": server.dropped,
        "server_kills": server.kills,
        "server_sent_bytes_per_s": server.sent_bytes_per_s,
        **(_system_figures(server.system) if server.system else {}),
    }


def _system_figures(system: SystemWindow) -> dict[str, object]:
    return {
        "server_observed_processes": system.processes,
        "server_busiest_thread": system.busiest_thread,
        "server_runnable": system.runnable,
        "server_cores_allowed": system.cores_allowed,
        "server_cpu_quota": system.quota,
        "server_throttled_share": system.throttled_share,
        "server_switches_per_s": system.switches_per_s,
        "server_group_memory_bytes": system.group_memory_bytes,
        "server_group_memory_limit_bytes": system.group_memory_limit_bytes,
        "server_memory_available_bytes": system.memory_available_bytes,
        "server_killed": system.killed,
        "server_listen_overflows": system.listen_overflows,
        "server_somaxconn": system.somaxconn,
        "server_tracked": system.tracked,
        "server_tracked_limit": system.tracked_limit,
    }
