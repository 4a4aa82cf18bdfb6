"""Make synthetic windows, steps and reports. Figures that a test does not set are those of a healthy step."""

from __future__ import annotations

from typing import Any

import msgspec

from capacity.config.scenario import Scenario
from capacity.measure.client_window import ClientWindow, WorkerWindow
from capacity.measure.server_window import ServerWindow
from capacity.measure.system_sample import SystemWindow
from capacity.record.report import Environment, RunReport
from capacity.record.step import StepRecord
from capacity.report.answer import Question, UserLoad, build_answer
from capacity.search.search import Ending, Plan
from tests.figures import figure_fields, histogram

__all__ = ["histogram"]

SLOS = ("deliver_p99<250ms", "loss<0.1%", "errors<1%")


def worker(**figures: Any) -> WorkerWindow:
    """Return a healthy worker of the load generator."""
    healthy: dict[str, Any] = {
        "index": 0,
        "users": 100,
        "cpu": 0.4,
        "loop_lag_p99_ms": 2.0,
        "send_lag_p99_ms": 1.0,
        "rss_bytes": 80 << 20,
        "age_s": 0.2,
    }
    return WorkerWindow(**(healthy | figures))


def client(**figures: Any) -> ClientWindow:
    """Return a healthy window of 100 users in rooms of 20 that meets the default SLOs."""
    healthy: dict[str, Any] = {
        "seconds": 6.0,
        "users": 100,
        "connections": 100,
        "ready": 100,
        "room_size": 20.0,
        "intended": 600,
        "sent": 600,
        "skipped": 0,
        "expected": 11_400,
        "received": 11_400,
        "lost": 0,
        "duplicated": 0,
        "reordered": 0,
        "foreign_clock": 0,
        "operations": 600,
        "failures": 0,
        "latency_intended": histogram(*[4.0] * 99, 9.0),
        "latency_sent": histogram(*[3.0] * 99, 8.0),
        "resync": histogram(),
        "workers": (worker(),),
    }
    return ClientWindow(**figure_fields(healthy | figures))


def step(users: int, verdict: str = "pass", **figures: Any) -> StepRecord:
    """Return a recorded step; CPU and rates grow with the users by default."""
    grown: dict[str, Any] = {
        "users": users,
        "purpose": "ramp",
        "verdict": verdict,
        "reasons": [],
        "signals": [],
        "notes": [],
        "started_s": 0.0,
        "settle_s": 2.0,
        "window_s": 6.0,
        "ready": users,
        "room_size": 20.0,
        "offered_per_s": users * 19.0,
        "delivered_per_s": users * 19.0,
        "sends_intended": users * 6,
        "sends": users * 6,
        "sends_skipped": 0,
        "deliver_mean_ms": 1.2 + users / 1000,
        "deliver_p50_ms": 1.0,
        "deliver_p90_ms": 2.0,
        "deliver_p99_ms": 8.0,
        "deliver_p999_ms": 12.0,
        "deliver_sent_p50_ms": 0.9,
        "deliver_sent_p90_ms": 1.8,
        "deliver_sent_p99_ms": 7.0,
        "deliver_sent_p999_ms": 11.0,
        "expected": users * 114,
        "received": users * 114,
        "lost": 0,
        "duplicated": 0,
        "reordered": 0,
        "errors": 0,
        "server_cpu": 0.02 + users / 2000,
        "server_loop_lag_p99_ms": 1.0,
        "server_rss_bytes": (60 << 20) + users * 12_000,
        "server_sent_bytes_per_s": users * 2000.0,
        "server_fds": users + 20,
        "server_fds_limit": 20_000,
        "generator_cpu": [users / 4000],
        "generator_loop_lag_p99_ms": 2.0,
        "generator_send_lag_p99_ms": 1.0,
    }
    return msgspec.convert(grown | figures, StepRecord)


def failing(users: int, **figures: Any) -> StepRecord:
    """Return a step with a full server core and a missed latency SLO."""
    missed = {
        "reasons": ["missed deliver_p99<250ms: 1.84 s"],
        "signals": ["deliver_p99"],
        "causes": ["server"],
        "server_cpu": 0.99,
        "deliver_p50_ms": 700.0,
        "deliver_p99_ms": 1840.0,
        "deliver_sent_p50_ms": 690.0,
        "deliver_sent_p99_ms": 1830.0,
        "delivered_per_s": users * 17.0,
    }
    return step(users, "fail", **(missed | figures))


def generator_limited(users: int, **figures: Any) -> StepRecord:
    """Return a step with the load generator at its CPU limit."""
    text = "the load generator used 0.99 of its core, limit 0.92"
    used_up = {"reasons": [text], "signals": ["generator cpu"], "causes": ["generator"], "generator_cpu": [0.99]}
    return step(users, "invalid", **(used_up | figures))


def environment() -> Environment:
    """Return the description of an imaginary machine."""
    return Environment(
        started_at="2026-01-02T03:04:05+00:00",
        host="lab",
        system="Linux 6.1 x86_64",
        cpu_model="Imaginary CPU",
        cores=2,
        memory_bytes=8 << 30,
        python="CPython 3.11.7",
        libraries={"websockets": "17.4"},
        revision="0123456789ab",
        server_cores=[1],
        generator_cores=[0],
        generator_processes=1,
        file_limit=20_000,
    )


def server(**figures: Any) -> ServerWindow:
    """Return the window of a server far from its limits."""
    healthy: dict[str, Any] = {"cpu": 0.3, "core_busy": 0.32, "core_stolen": 0.0, "loop_lag_p99_ms": 1.0}
    return ServerWindow(**(healthy | figures))


def system(**figures: Any) -> SystemWindow:
    """Return the operating system's figures of a server far from its limits."""
    healthy: dict[str, Any] = {
        "processes": 1,
        "busiest_thread": 0.3,
        "waited_s": 0.1,
        "runnable": 0.32,
        "cores_allowed": 1.0,
        "quota": None,
        "throttled_share": None,
        "switches_per_s": 100.0,
        "group_memory_bytes": None,
        "group_memory_limit_bytes": None,
        "memory_available_bytes": 1 << 30,
        "killed": 0,
        "listen_overflows": 0,
        "somaxconn": 4096,
        "tracked": None,
        "tracked_limit": None,
    }
    return SystemWindow(**(healthy | figures))


def question(**figures: Any) -> Question:
    """Return the default question."""
    asked: dict[str, Any] = {
        "load": UserLoad(Scenario(None, {"ChattingUser": 1}), 20, None, 1.0),
        "slos": SLOS,
        "plan": Plan(),
        "dialect": "stampede",
        "subject": "One server process",
        "command": "python -m capacity",
    }
    return Question(**(asked | figures))


def report(steps: list[StepRecord], ending: Ending | None = Ending.CONVERGED, **figures: Any) -> RunReport:
    """Return the report of consecutive steps."""
    placed, clock = [], 0.0
    for taken in steps:
        placed.append(msgspec.structs.replace(taken, started_s=clock))
        clock += taken.settle_s + (taken.window_s or 0.0)
    whole: dict[str, Any] = {
        "status": "complete",
        "status_reason": None,
        "answer": build_answer(question(), placed, ending),
        "steps": placed,
        "levels": list(SLOS),
        "settings": {"users_min": 100, "mix": "ChattingUser=1", "host": None},
        "environment": environment(),
        "missing": [],
        "command": "python -m capacity",
        "duration_s": 131.2,
    }
    return RunReport(**(whole | figures))


def converged() -> list[StepRecord]:
    """Return the steps of a search that ended between 1 400 and 1 500 users."""
    ramp = [step(100), step(200), step(400), step(800), failing(1600)]
    return [*ramp, step(1200), step(1400), failing(1500), failing(1500), step(1400), step(1400)]


def generator_first() -> list[StepRecord]:
    """Return the steps of a search with the limit of the load generator at 2 000 users."""
    light = {users: step(users, server_cpu=0.02 + users / 6000) for users in (100, 200, 400, 800, 1600, 1900)}
    over = [generator_limited(3200), generator_limited(3200), generator_limited(2000)]
    return [*(light[users] for users in (100, 200, 400, 800, 1600)), *over, *[light[1900]] * 3]
