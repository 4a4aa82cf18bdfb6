"""The server under test."""

from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from capacity.errors import RunError
from capacity.measure.listening import port_of
from capacity.measure.server_processes import ServerProcesses
from capacity.processes.target import TargetServer
from stampede.websocket.endpoint import Endpoint
from tests.capacity.run_options import TOLERANT, USERS
from tests.ports import free_port
from tests.stampede.name_resolution import resolve_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.capacity.fixtures import Run
    from tests.processes import RunningServer

ORIGIN = "https://chat.example.org"


def test_the_next_address_is_used_if_the_first_one_refuses(
    capacity: Callable[..., Run], server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for `localhost` with `::1` first, and a server that listens on IPv4."""
    resolve_everywhere(monkeypatch, tmp_path, "localhost", "::1", "127.0.0.1")
    run = capacity("--host", server.url.replace("127.0.0.1", "localhost"), "--bounded", USERS, *TOLERANT)
    assert run.wait() == 0, run.errors
    assert run.report.steps[-1].verdict == "pass"
    first, second = run.report.notes
    assert first == "1 of the server's 2 addresses were used: 127.0.0.1 (2 connections)"
    assert second.startswith("address ::1: connection refused, ")


def test_a_server_listens_if_one_of_its_instances_does(server: RunningServer) -> None:
    """The name of --host may be unknown here if --connect-to gives the addresses."""
    listening, silent = Endpoint("127.0.0.1", port_of(server.url)), Endpoint("127.0.0.1", free_port())
    TargetServer.running("ws://chat.invalid", endpoints=(silent, listening)).check_listening()
    with pytest.raises(RunError, match=r"^the server at ws://chat\.invalid no longer listens: connection refused$"):
        TargetServer.running("ws://chat.invalid", endpoints=(silent,)).check_listening()


@contextmanager
def metrics_page(body: bytes) -> Iterator[str]:
    """Serve the same body for each request; yield the WebSocket URL of that server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("page", "gap"),
    [
        (
            b"<!doctype html><p>chat</p>",
            "the response is not a metrics page; event loop lag, drops and kills are unknown",
        ),
        (b'{"users": 1}', "the response is not a metrics page; event loop lag, drops and kills are unknown"),
        (b"\xff\xfe", "the response is not a metrics page; event loop lag, drops and kills are unknown"),
        (b"nodejs_eventloop_lag_seconds 0.1\n", "the server's metrics have no event loop lag, drops and kills"),
    ],
    ids=["HTML", "JSON", "no text", "metrics of another server"],
)
def test_figures_that_a_page_of_another_server_lacks_are_listed(page: bytes, gap: str) -> None:
    with metrics_page(page) as url:
        target = TargetServer.running(url, processes=ServerProcesses.listening_at(url))
        (found,) = target.probe()
        sample = target.sample()
    assert found.endswith(gap)
    assert (sample.problem, sample.dropped, sample.kills, sample.lag_buckets) == (None, None, None, None)
    assert sample.cpu_seconds is not None  # of this process


def test_headers_reach_a_server_that_checks_them_and_stay_out_of_reports(
    capacity: Callable[..., Run], start: Callable[..., RunningServer]
) -> None:
    server = start("--allowed-origin", ORIGIN, "--require-origin", "yes")
    flags = ("--host", server.url, "--bounded", USERS, *TOLERANT)
    refused = capacity(*flags)
    assert refused.wait() == 2
    assert "HTTP 403" in refused.error
    run = capacity(*flags, "--origin", ORIGIN, "--header", "X-Key: geheim", "--header=Cookie: a=geheim")
    assert run.wait() == 0, run.errors
    assert "geheim" not in (run.folder / "report.json").read_text() + (run.folder / "report.html").read_text()
    assert run.report.settings["headers"] == "X-Key, Cookie"
    assert f"--origin {ORIGIN}" in run.report.command
