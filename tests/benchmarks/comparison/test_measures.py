"""Connect storms and uploads are measured against the real server; the command prints tables of a short run."""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from benchmarks.__main__ import available, main, measure, parser
from benchmarks.comparison import report
from benchmarks.comparison.measures import chat, connect_storm, uploads
from benchmarks.comparison.results import load
from benchmarks.comparison.servers import OURS, SERVERS, Server
from benchmarks.comparison.workloads import WORKLOADS
from benchmarks.load.connect_storm import ConnectStorm
from benchmarks.load.driver import ChatLoad
from benchmarks.load.wire import DisconnectedError
from benchmarks.processes import BenchmarkError, separate_cpus
from tests.benchmarks.comparison.test_results import complete_results

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer


def test_a_connect_storm_ends_when_all_clients_are_greeted(server: RunningServer) -> None:
    with ConnectStorm(server.url, 150) as connected:
        assert connected.seconds > 0
        assert connected.driver_cpu > 0
        assert '"connections":150' in server.get("/api/status").replace(" ", "")


def test_a_refused_client_is_reported_in_one_line() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as refusing:
        answering = threading.Thread(target=refusing.serve_forever)
        answering.start()
        try:
            with pytest.raises(DisconnectedError, match="refused a client"):
                ConnectStorm(f"ws://127.0.0.1:{refusing.server_port}", 1)
        finally:
            refusing.shutdown()
            answering.join()


def test_the_cost_of_a_connect_storm_is_measured() -> None:
    figures, problem = connect_storm(200)(SERVERS[OURS], 0.1, separate_cpus())
    assert problem is None or "driver" in problem
    assert figures["connects_per_s"] > 0
    assert figures["connects_per_cpu_s"] > 0
    assert 0 < figures["rss_bytes_each"] < 100_000


def test_the_rate_of_uploads_is_measured() -> None:
    figures, problem = uploads(2)(SERVERS[OURS], 3, separate_cpus())
    assert problem is None
    assert figures["files_per_s"] > 0


def test_a_partial_comparison_is_printed_and_does_not_change_the_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.comparison.fanout.WARM_UP_SECONDS", 0.2)
    monkeypatch.setattr("benchmarks.__main__._TRIES", 1)
    flags = ["--workloads", "pairs", "--servers", "websockets", "--rounds", "2", "--others", "1", "--seconds", "0.3"]
    assert main([*flags, "--results", str(tmp_path), "--documents", "/nowhere"]) == 0
    shown = capsys.readouterr()
    assert "| 200 clients in 100 rooms, 15 000/s | deliveries per CPU second |" in shown.out
    assert "The documents are not updated: big is not measured yet." in shown.err
    found = load(tmp_path, WORKLOADS)
    assert [outcome.server for outcome in found["pairs"].outcomes] == [OURS, "websockets", OURS]
    assert all(outcome.figures["offered_per_s"] > 0 for outcome in found["pairs"].outcomes)
    assert (tmp_path / "comparison.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("figures", "problem", "line"),
    [
        ({"granted_per_s": 1234.0}, None, "1,234 deliveries/s, not measured (deliveries per CPU second)"),
        (
            {"granted_per_s": 0.0},
            "nothing was delivered",
            "0 deliveries/s, not measured (deliveries per CPU second), invalid: nothing was delivered",
        ),
        ({}, "refused", "invalid: refused"),
    ],
    ids=["less CPU than its resolution", "no delivery", "no measurement"],
)
def test_the_line_of_a_measurement_names_the_figures_that_were_not_measured(
    figures: dict[str, float], problem: str | None, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workload = replace(WORKLOADS["big"], measure=lambda *_: (figures, problem))
    measure(workload, [SERVERS[OURS]], parser().parse_args(["--rounds", "1", "--results", str(tmp_path)]))
    assert capsys.readouterr().err == f"big 1/1 {SERVERS[OURS].title}: {line}\n"
    assert load(tmp_path, WORKLOADS)["big"].outcomes[0].figures == figures


def test_complete_results_update_the_documents(tmp_path: Path) -> None:
    for found in complete_results().values():
        found.save(tmp_path / "results")
    (tmp_path / "benchmarks").mkdir()
    for document in (tmp_path / "README.md", tmp_path / "benchmarks" / "README.md"):
        document.write_text(f"# x\n\n{report.BEGIN}\n{report.END}\n")
    assert main(["--saved", "--results", str(tmp_path / "results"), "--documents", str(tmp_path)]) == 0
    assert "over Bun" in (tmp_path / "README.md").read_text()
    assert {"over Bun", "Socket.IO"} <= set((tmp_path / "benchmarks" / "README.md").read_text().split(" | "))
    assert (tmp_path / "benchmarks" / "comparison.png").stat().st_size > 0


def test_a_server_that_does_not_start_is_left_out_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    def missing(_folder: Path) -> list[str]:
        raise BenchmarkError("node not found")

    assert available([Server("x", "X", missing), Server("y", "Y", lambda _folder: ["/nowhere/y"])]) == []
    assert capsys.readouterr().err.splitlines() == [
        "left out: X: node not found",
        "left out: Y: cannot start /nowhere/y: No such file or directory",
    ]


def test_a_measurement_is_invalid_if_other_processes_had_the_server_s_cpu() -> None:
    _, problem = chat(ChatLoad(12, 3, 400), -1.0)(SERVERS[OURS], 1.5, separate_cpus())
    assert problem is not None
    assert "other processes used its CPU" in problem


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--workloads", "bigger"], "'bigger' is not one of big, medium"),
        (["--servers", "nginx"], "'nginx' is not one of stampede, bun"),
        (["--rounds", "0"], "not a whole number above 0"),
        (["--seconds", "x"], "not a number of seconds"),
        (["--seconds", "60"], "at most 20"),
        (["--saved", "--results", "/nowhere"], "run the comparison first"),
    ],
)
def test_invalid_options_are_reported_in_one_line_with_exit_code_2(
    flags: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(flags)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    assert code == 2
    assert problem in capsys.readouterr().err.splitlines()[-1]


def test_sigterm_stops_the_servers_first(tmp_path: Path) -> None:
    flags = [
        "--workloads",
        "pairs",
        "--servers",
        "websockets",
        "--rounds",
        "50",
        "--seconds",
        "0.2",
        "--results",
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "benchmarks", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
        assert run.stderr is not None
        assert "52 measurements" in run.stderr.readline()
        assert "pairs 1/50" in run.stderr.readline()
        children = psutil.Process(run.pid).children()
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 130
    _, alive = psutil.wait_procs(children, 20)
    assert alive == []
