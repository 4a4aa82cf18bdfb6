"""Limits of the server's machine are named as the bottleneck, and those of the generator's machine are not."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from capacity.judge.generator_health import FAULT
from tests.capacity.run_options import TOLERANT, USERS, run_until
from tests.metrics.fixtures import skip_or_fail
from tests.promises import cpu_quota, hosts
from tests.promises.cpu_quota import CpuQuota

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer


@pytest.fixture
def quota() -> Iterator[CpuQuota]:
    """A control group, which ends after the test's servers and runs."""
    if why := cpu_quota.problem():
        skip_or_fail(why)
    with CpuQuota() as group:
        yield group


def test_the_cpu_quota_of_a_server_is_the_bottleneck(
    quota: CpuQuota, capacity: Callable[..., Run], start: Callable[..., RunningServer]
) -> None:
    """It needs a fifth of a core for 20 messages of 10 ms each, and gets half of that, also on a busy machine."""
    server = start("--work-per-message", "0.01")
    quota.add(server.process.pid)
    quota.limit(0.1)
    load = ("--bounded", "20", "--room-size", "2", "--message-rate", "1", "--processes", "1", "--window", "3")
    run = run_until(capacity, 99, "--host", server.url, *load, "--settle", "1", "--slo", "deliver_p99<400ms")
    answer = run.report.answer
    assert answer.limited_by == "CPU quota", answer.evidence
    assert (answer.bottleneck or "").startswith("CPU quota (the CPU quota of 0.1 cores stopped the server for ")
    assert answer.bottleneck_observable
    assert "Bottleneck: CPU quota" in answer.sentence
    (step,) = run.report.steps
    assert (step.server_cores_allowed, step.server_cpu_quota) == (0.1, 0.1)
    assert (step.server_throttled_share or 0.0) > 0.05


def test_the_cpu_quota_of_the_load_generator_makes_a_step_invalid(
    quota: CpuQuota, capacity: Callable[..., Run], server: RunningServer
) -> None:
    load = ("--bounded", "200", "--room-size", "2", "--message-rate", "10", "--processes", "1", "--window", "8")
    run = capacity("--host", server.url, *load, "--settle", "1", "--slo", "deliver_p99<60s", through=quota.enter)
    while server.samples()["chat_connections"] < 100:
        assert run.process.poll() is None
        time.sleep(0.1)
    quota.limit(0.1)
    assert run.wait() == 98, [run.errors, run.report.answer.sentence]
    step = run.report.steps[0]
    assert (step.verdict, step.signals[0]) == ("invalid", FAULT), step.reasons
    assert step.reasons[0].startswith("load generator fault: CPU quota, ")


def test_a_server_on_another_host_without_metrics_has_no_observable_bottleneck(capacity: Callable[..., Run]) -> None:
    if why := hosts.problem():
        skip_or_fail(why)
    through = hosts.inside(sys.executable, "-m", "tests.promises.remote_server")
    flags = ("--host", "{url}", "--bounded", USERS, *TOLERANT, "--slo", "deliver_p99<1us")
    run = run_until(partial(capacity, through=through), 99, *flags)
    answer = run.report.answer
    assert not answer.bottleneck_observable
    assert (answer.bottleneck or "").startswith("not observable: give --server-pid or --metrics, or a [metrics] table")
    assert any("the server's CPU and memory are unknown" in text for text in run.report.missing)
    assert run.report.steps[0].server_cpu is None
