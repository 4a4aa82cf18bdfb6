from __future__ import annotations

from typing import Any

import pytest

from capacity.judge.bottleneck import find_bottleneck
from tests.capacity import make


@pytest.mark.parametrize(
    ("figures", "signal", "evidence"),
    [
        ({"server_cpu": 0.97}, "server CPU", "97 % of one core"),
        ({"server_cpu": 0.7, "server_core_foreign": 0.28}, "server CPU", "28 % other processes"),
        ({"server_cpu": 0.3, "server_fds": 19_900}, "file descriptors", "19900 of 20000"),
        ({"server_cpu": 0.3, "server_rss_bytes": 95 << 20, "server_memory_bytes": 100 << 20}, "memory", "95 MiB"),
        ({"server_cpu": 0.3, "server_dropped": 12, "server_kills": 3}, "slow consumers", "12 messages dropped"),
        ({"server_cpu": 0.3, "server_loop_lag_p99_ms": 120.0}, "event loop lag", "120 ms"),
        ({"server_cpu": 0.3}, "delivery latency", "1.84 s"),
        ({"server_cpu": None}, "delivery latency", "1.84 s"),
    ],
)
def test_a_cause_comes_before_its_symptom(figures: dict[str, Any], signal: str, evidence: str) -> None:
    bottleneck = find_bottleneck(make.failing(1600, **figures))
    assert bottleneck.name == signal
    assert evidence in bottleneck.evidence[0]


@pytest.mark.parametrize(
    ("figure", "signal"),
    [("loss", "loss"), ("errors", "errors"), ("backlog", "delivery backlog"), ("resync_p95", "resync_p95")],
)
def test_without_a_cause_the_missed_slo_is_the_bottleneck(figure: str, signal: str) -> None:
    assert find_bottleneck(make.failing(10, server_cpu=0.2, signals=[figure], reasons=["missed"])).name == signal


def test_an_invalid_step_names_the_generator() -> None:
    bottleneck = find_bottleneck(make.generator_limited(3200))
    assert bottleneck.name == "load generator"
    assert "0.99 of its core" in bottleneck.evidence[0]


def test_cpu_of_other_processes_is_not_the_bottleneck() -> None:
    assert find_bottleneck(make.failing(10, server_cpu=0.2, server_core_foreign=0.8)).name == "delivery latency"
