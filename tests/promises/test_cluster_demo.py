"""The cluster demonstration: each part runs on a separate host, and no process remains at the end."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.metrics.fixtures import skip_or_fail
from tests.promises.cluster_demo import main
from tests.promises.hosts import problem

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "tests.promises.cluster_demo", "--users", "30", "--seconds", "5"]
MOST_RUNS = 3


@pytest.fixture
def _hosts() -> None:
    """Skip or fail a test without the tools that the demonstration needs."""
    missing = [tool for tool in ("haproxy", "prometheus") if shutil.which(tool) is None]
    if why := f"{missing[0]} not found: install it" if missing else problem():
        skip_or_fail(why)


@pytest.mark.usefixtures("_hosts")
def test_servers_nats_haproxy_prometheus_and_locust_run_on_hosts_of_their_own() -> None:
    for _ in range(MOST_RUNS):
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=220, check=False)
        if not re.search("(master|capacity run) ended with exit code 98", done.stderr):  # a busy machine
            break
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all counters agree" in done.stdout
    shown = {line[:26].strip(): line[26:].split() for line in done.stdout.splitlines()}
    assert shown["scraped by Prometheus"] == ["chat-1", "1", "chat-2", "1", "load-1", "1", "middle", "1"]
    assert int(shown["connections"][1]) > 0 < int(shown["connections"][3])
    workers = re.findall(r"^worker (\d) on (\S+): connected, \d+% of a core$", done.stdout, re.MULTILINE)
    assert workers == [("0", "load-1"), ("1", "load-2")]


@pytest.mark.usefixtures("_hosts")
def test_a_terminated_demo_leaves_no_process_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the hosts exist
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    _, alive = psutil.wait_procs(children, 30)
    assert not alive
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tool_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main([]) == 2
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err == "cluster-demo: haproxy not found: install haproxy\n"
