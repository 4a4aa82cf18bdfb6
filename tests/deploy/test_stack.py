"""`python -m deploy.stack`: the processes are connected to each other and end together."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.metrics.fixtures import MISSING, skip_or_fail, wait_until
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORTS = [f"--{name}-port" for name in ("server", "locust", "generator", "prometheus", "grafana")]
ANY_PORTS = [word for flag in PORTS for word in (flag, "0")]


@contextmanager
def stack(*flags: str, path: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    if shutil.which("prometheus") is None:
        skip_or_fail(MISSING)
    command = [sys.executable, "-m", "deploy.stack", *flags]
    paths = os.environ["PATH"] if path is None else f"{path}:{os.environ['PATH']}"
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PATH": paths}
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def pages(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read the output up to its last line and return the URLs by name."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("Ctrl-C"):
        line = process.stdout.readline()
        assert line, process.communicate()
        lines.append(line.strip())
    return {found[1]: found[2] for line in lines if (found := re.fullmatch(r"(\w+) +(http://\S+)", line))}


def targets(prometheus: str) -> dict[str, str]:
    with urllib.request.urlopen(f"{prometheus}/api/v1/targets", timeout=60) as answer:  # noqa: S310 - loopback
        active = json.load(answer)["data"]["activeTargets"]
    return {target["labels"]["job"]: target["health"] for target in active}


def test_all_processes_are_connected_and_end_together_after_signals() -> None:
    with stack(*ANY_PORTS) as process:
        shown = pages(process)
        assert {"Chat", "Locust", "Prometheus"} <= shown.keys()
        for url in shown.values():
            with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback
                assert answer.status == 200
        wait_until(lambda: targets(shown["Prometheus"]) == {"chat": "up", "loadtest": "up"}, "both to be scraped")
        with urllib.request.urlopen(f"{shown['Prometheus']}/user/runbook.md", timeout=60) as answer:  # noqa: S310
            assert b"## ChatServerDown" in answer.read()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # the clean-up continues
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


GRAFANA = """#!{python}
import http.server, json, os, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path == "/":
            self.wfile.write(json.dumps([sys.argv[1:], dict(os.environ)]).encode())
address = (os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"]))
http.server.HTTPServer(address, Page).serve_forever()
"""


def test_grafana_is_connected_where_it_is_installed(tmp_path: Path) -> None:
    """Start a stand-in that reports its arguments and environment: no package index has Grafana."""
    program = tmp_path / "grafana"
    program.write_text(GRAFANA.format(python=sys.executable))
    program.chmod(0o755)
    with stack(*ANY_PORTS, "--grafana-home", str(tmp_path), path=tmp_path) as process:
        shown = pages(process)
        with urllib.request.urlopen(shown["Grafana"], timeout=60) as answer:  # noqa: S310 - loopback
            arguments, environment = json.load(answer)
    assert arguments == ["server", f"--homepath={tmp_path}"]
    assert environment["PROMETHEUS_URL"] == shown["Prometheus"]
    assert environment["GF_PATHS_PROVISIONING"] == str(ROOT / "grafana" / "provisioning")
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"


def test_when_one_process_ends_all_end_and_one_line_names_it() -> None:
    with stack(*ANY_PORTS) as process:
        pages(process)
        children = psutil.Process(process.pid).children(recursive=True)
        next(child for child in children if "prometheus" in child.name()).kill()
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (98, "stack: Prometheus was ended by SIGKILL\n")
        assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


def test_a_port_in_use_is_reported_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(taken.getsockname()[1]) for taken in (one, other)]
        with stack(*ANY_PORTS, "--locust-port", ports[0], "--prometheus-port", ports[1]) as process:
            shown, complaints = process.communicate(timeout=60)
    assert (process.returncode, shown) == (2, "")
    numbers = f"{ports[0]} (--locust-port), {ports[1]} (--prometheus-port)"
    assert complaints == f"stack: in use: port {numbers}: stop the program there, or choose another port (0: any)\n"


@pytest.mark.parametrize(
    ("flags", "problem"),
    [(("--server-port", "x"), "'x' is not a port"), (("--locust-port", "70000"), "'70000' is not a port")],
)
def test_an_invalid_option_is_reported_in_one_line(flags: tuple[str, ...], problem: str) -> None:
    with stack(*flags) as process:
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == 2
    assert complaints.splitlines()[-1].endswith(problem)
