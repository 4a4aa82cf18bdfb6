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


def test_a_core_that_others_fill_is_no_cause_for_a_server_that_does_not_wait_for_it() -> None:
    step = make.failing(1600, server_cpu=0.47, server_core_foreign=0.53, server_runnable=0.5)
    assert find_bottleneck(step).name == "delivery latency"


@pytest.mark.parametrize(
    ("figure", "signal"),
    [("loss", "loss"), ("errors", "errors"), ("backlog", "delivery backlog"), ("resync_p95", "resync_p95")],
)
def test_without_a_cause_the_missed_slo_is_the_bottleneck(figure: str, signal: str) -> None:
    assert find_bottleneck(make.failing(10, server_cpu=0.2, signals=[figure], reasons=["missed"])).name == signal


QUOTA = {"server_cpu": 0.5, "server_busiest_thread": 0.5, "server_cores_allowed": 0.5, "server_cpu_quota": 0.5}
ADMISSION = {"signals": ["admission"], "reasons": ["only 5 of 10 users joined their rooms"]}
MIB = 1 << 20


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        (
            QUOTA | {"server_throttled_share": 0.48},
            "CPU quota (the CPU quota of 0.5 cores stopped the server for 48 % of the time)",
        ),
        ({"server_cpu": 0.97}, "server CPU (the server used 97 % of one core)"),
        (
            {"server_cpu": 3.9, "server_busiest_thread": 0.6, "server_cores_allowed": 4.0},
            "server CPU (the server used 3.9 of 4 cores)",
        ),
        (
            {"server_cpu": 1.5, "server_busiest_thread": 0.98, "server_cores_allowed": 4.0},
            "server CPU (the server's busiest thread used 98 % of one core)",
        ),
        (
            {"server_cpu": 1.5, "server_cpu_busiest": 0.98, "server_processes": 3},
            "server CPU (the busiest of 3 server processes used 98 % of one core)",
        ),
        (
            {"server_cpu": 0.47, "server_core_foreign": 0.53, "server_runnable": 0.98},
            "server CPU (the server's core was full: 47 % server, 53 % other processes)",
        ),
        (
            {"server_cpu": 0.47, "server_busiest_thread": 0.47, "server_runnable": 0.98},
            "server CPU (the server used 47 % of one core, and waited for a core for 51 % of the time)",
        ),
        ({"server_killed": 2}, "memory (the kernel killed 2 processes for lack of memory)"),
        (
            {"server_group_memory_bytes": 500 * MIB, "server_group_memory_limit_bytes": 512 * MIB},
            "memory (500 MiB of the control group's limit of 512 MiB in use)",
        ),
        (
            {"server_memory_bytes": 4096 * MIB, "server_memory_available_bytes": 100 * MIB},
            "memory (the server's machine had 100 MiB of 4 GiB of memory left)",
        ),
        ({"server_fds": 19_900}, "file descriptors (19900 of 20000 file descriptors in use)"),
        (
            {"server_tracked": 261_000, "server_tracked_limit": 262_144},
            "connection tracking (261000 connections are tracked, net.netfilter.nf_conntrack_max is 262144)",
        ),
        (
            {"server_listen_overflows": 7, "server_somaxconn": 128, **ADMISSION},
            "listen backlog (7 connections found the listen queue full; net.core.somaxconn allows 128)",
        ),
        ({"server_dropped": 12}, "slow consumers (12 messages dropped and 0 connections closed for slow consumers)"),
        ({"server_loop_lag_p99_ms": 120.0}, "event loop lag (event loop lag p99 120 ms)"),
    ],
    ids=lambda value: value.partition(" (")[0] if isinstance(value, str) else "",
)
def test_each_cause_is_named_with_its_figures(figures: dict[str, Any], text: str) -> None:
    bottleneck = find_bottleneck(make.failing(100, **({"server_cpu": 0.3} | figures)))
    assert (bottleneck.text, bottleneck.is_cause, bottleneck.observable) == (text, True, True)
    assert bottleneck.evidence[-1] in ("missed deliver_p99<250ms: 1.84 s", *ADMISSION["reasons"])


def test_a_full_listen_queue_explains_no_latency_of_connected_users() -> None:
    bottleneck = find_bottleneck(make.failing(100, server_cpu=0.3, server_listen_overflows=7))
    assert not bottleneck.is_cause


def test_without_a_cause_the_observed_resources_are_named_and_the_unknown_ones() -> None:
    bottleneck = find_bottleneck(make.failing(100, server_cpu=0.12, server_dropped=0, server_kills=0))
    assert bottleneck.text == (
        "none of the observed resources (server CPU 12 % of one core, memory 61.1 MiB, 120 of 20000 file descriptors, "
        "event loop lag p99 1 ms): a wait or a limit inside the server, such as a rate limit, a lock or a database"
    )
    assert (bottleneck.observable, bottleneck.is_cause) == (True, False)
    little = {"server_cpu": 0.12, "server_fds": None, "server_loop_lag_p99_ms": None}
    bottleneck = find_bottleneck(make.failing(100, **little))
    assert "memory 61.1 MiB; unknown: file descriptors, event loop lag and slow consumers): a wait" in bottleneck.text


@pytest.mark.parametrize("unknown", [{"server_cpu": None}, {"server_cpu": 0.1, "server_rss_bytes": None}])
def test_without_cpu_or_memory_the_bottleneck_is_not_observable(unknown: dict[str, Any]) -> None:
    bottleneck = find_bottleneck(make.failing(100, **unknown))
    assert bottleneck.text == (
        "not observable: give --server-pid or --metrics, or a [metrics] table in the dialect's file"
    )
    assert not bottleneck.observable


def test_the_figures_of_a_proxy_tell_nothing_of_the_server_behind_it() -> None:
    bottleneck = find_bottleneck(make.failing(100, server_cpu=0.1), "nginx")
    assert bottleneck.text.startswith("not observable: the figures are those of nginx, a proxy; give --server-pid")
    assert not bottleneck.observable
    assert find_bottleneck(make.failing(100), "nginx").name == "server CPU"


def test_an_invalid_step_names_the_generator() -> None:
    bottleneck = find_bottleneck(make.generator_limited(3200))
    assert bottleneck.name == "load generator"
    assert "0.99 of its core" in bottleneck.evidence[0]


def test_cpu_of_other_processes_is_not_the_bottleneck() -> None:
    assert find_bottleneck(make.failing(10, server_cpu=0.2, server_core_foreign=0.8)).name == "delivery latency"
