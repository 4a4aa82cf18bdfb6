"""Node.js servers are profiled through the inspector that they were started with."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks.node_packages import missing_tools
from capacity.profile.node_inspector import NodeSampler, is_node
from capacity.profile.sampler import ProfileError
from tests.metrics.fixtures import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
function busyFunction() { let total = 0; for (let i = 0; i < 2e7; i += 1) total += i % 7; return total; }
setInterval(busyFunction, 25);
console.log('started');
"""


@contextmanager
def node(folder: Path, *options: str, **environment: str) -> Iterator[psutil.Process]:
    """Start Node.js."""
    if problem := missing_tools():
        skip_or_fail(problem)
    process = subprocess.Popen(
        ["node", *options, "-e", PROGRAM],
        cwd=folder, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


@pytest.mark.parametrize("through_environment", [True, False])
def test_an_inspector_on_any_port_is_found(tmp_path: Path, through_environment: bool) -> None:
    option = "--inspect=127.0.0.1:0"
    options, environment = ([], {"NODE_OPTIONS": option}) if through_environment else ([option], {})
    with node(tmp_path, *options, **environment) as process:
        assert is_node(process)
        sampler = NodeSampler.start(process)
        use_cpu(process, 0.3)
        shares = {one.function: one.share for one in sampler.finish().functions()}
    assert shares["busyFunction"] > 0.3, shares


def use_cpu(process: psutil.Process, seconds: float) -> None:
    """Wait until a process has used CPU time."""
    enough = process.cpu_times().user + seconds
    while process.cpu_times().user < enough:
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "has no inspector: start it with node --inspect"),
        (
            ("--cpu-prof",),
            "was started with --cpu-prof: it writes its profile when it ends; start it with --inspect instead",
        ),
    ],
)
def test_a_process_without_an_inspector_is_one_line(tmp_path: Path, options: tuple[str, ...], reason: str) -> None:
    with node(tmp_path, *options) as process, pytest.raises(ProfileError) as failure:
        NodeSampler.start(process)
    assert str(failure.value) == f"node (process {process.pid}) {reason}"


def test_a_process_that_ends_during_its_profile_is_one_line(tmp_path: Path) -> None:
    with node(tmp_path, "--inspect=127.0.0.1:0") as process:
        sampler = NodeSampler.start(process)
        process.kill()
        with pytest.raises(ProfileError, match=r"the inspector of .* failed: "):
            sampler.finish()
