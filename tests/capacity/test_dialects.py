"""Capacity runs of servers with another protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from capacity.processes.generator import UNCONFIRMED_NOTE
from tests.capacity.run_options import TOLERANT, USERS, run_until
from tests.stampede.check.acme import AcmeServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.capacity.fixtures import Run
    from tests.dialects.fixtures import StartReal

ACME = "tests.stampede.check.acme"
SHORT = ("--processes", "1", "--message-rate", "10", "--window", "1", "--settle", "1")


def test_a_socket_io_server_is_measured(capacity: Callable[..., Run], start_real: StartReal) -> None:
    server = start_real("socket.io")
    flags = ("--host", server.url, "--dialect", "socketio", "--join-grace", "0.5")
    run = capacity(
        *flags, "--bounded", "8", "--room-size", "4", *SHORT, "--slo", "deliver_p99<60s", "--slo", "loss<0.1%"
    )
    assert run.wait() == 0, run.errors
    report = run.report
    assert (report.dialect, report.status) == ("socketio", "complete")
    assert report.answer.sentence.startswith(f"The socketio server at {server.url} holds 8 chatting users")
    assert json.loads((run.folder / "report.json").read_text())["dialect"] == "socketio"
    assert "--dialect socketio --join-grace 0.5" in str(report.settings["load"])
    assert "<dt>Dialect</dt><dd>socketio</dd>" in (run.folder / "report.html").read_text()
    assert UNCONFIRMED_NOTE in report.notes
    (missing,) = report.missing
    assert missing.startswith("no metrics at http://127.0.0.1:")
    assert missing.endswith("; event loop lag, drops and kills are unknown")
    last = report.steps[-1]
    assert (last.verdict, last.ready, last.lost) == ("pass", 8, 0)
    assert last.received
    assert (last.server_loop_lag_p99_ms, last.server_dropped, last.server_kills) == (None, None, None)
    server.wait_for_counts(clients=0)


METRICS = """
extends = "socketio"
[metrics]
connections = "socket_io_connected"
messages_delivered = "socket_io_events_sent_total"
event_loop_lag_seconds = "nodejs_eventloop_lag_p99_seconds"
"""


def test_the_metrics_of_a_node_server_are_read_by_the_names_of_the_dialect(
    capacity: Callable[..., Run], start_real: StartReal, tmp_path: Path
) -> None:
    server = start_real("socket.io", "--metrics")
    dialect = tmp_path / "metrics.toml"
    dialect.write_text(METRICS)
    run = run_until(capacity, 0, "--host", server.url, "--dialect", str(dialect), "--bounded", USERS, *TOLERANT)
    report = run.report
    assert report.missing == ["the server's metrics have no drops and kills"]
    (step,) = report.steps
    assert step.verdict == "pass", step.reasons
    assert (step.server_loop_lag_p99_ms or 0.0) > 0
    assert step.server_observed_processes == 1


def test_an_unknown_key_of_metrics_ends_the_run_with_its_name(capacity: Callable[..., Run], tmp_path: Path) -> None:
    dialect = tmp_path / "metrics.toml"
    dialect.write_text(METRICS.replace("connections", "conections"))
    run = capacity("--host", "ws://127.0.0.1:1", "--dialect", str(dialect))
    assert run.wait() == 2
    assert run.error == f"capacity: --dialect: {dialect}: metrics.conections: unknown key: did you mean connections?"


def test_a_missed_slo_of_another_server_exits_with_99(capacity: Callable[..., Run]) -> None:
    with AcmeServer(acknowledges=True).running() as url:
        flags = ("--dialect", f"{ACME}:OnlyAcknowledgedDialect", "--slo", "ack:p99<1us")
        run = run_until(capacity, 99, "--host", url, "--bounded", USERS, *TOLERANT, *flags)
    assert run.report.dialect == "acme"
    last = run.report.steps[-1]
    assert any(reason.startswith("missed ack:p99<1us: ") for reason in last.reasons)
    assert last.figures["ack:p99<1us"] is not None


def test_a_storm_of_another_server_is_measured(capacity: Callable[..., Run]) -> None:
    with AcmeServer().running() as url:
        slos = ("--slo", "resync_p95<60s", "--slo", "deliver_p99<60s")  # with the second one, lag matters little
        flags = ("--storm", "20", "--room-size", "4", *SHORT, *slos, "--max-duration", "30")
        run = capacity("--host", url, "--dialect", f"{ACME}:AcmeDialect", *flags)
        assert run.wait() == 0, run.errors
    storm = run.report.storm
    assert storm is not None
    assert storm.storms[0].verdict == "pass"
    assert storm.storms[0].resynced == storm.storms[0].dropped == 2


@pytest.mark.parametrize(
    ("server", "flags", "words"),
    [
        (AcmeServer(silent=("join",)), (), "join"),
        (AcmeServer(token="key"), (), "bad token"),
        (AcmeServer(forbidden=("room-0",)), (), "no permission"),
        (AcmeServer(), ("--credentials", "/nowhere"), "--credentials /nowhere: No such file"),
        (
            AcmeServer(),
            ("--mix", "ChattingUser=1,TypingUser=1"),
            "TypingUser needs typing notices, which the acme dialect does not have",
        ),
        (AcmeServer(), ("--mix", "FileUploadUser=1"), "FileUploadUser needs uploads, which the acme dialect does"),
    ],
    ids=["a join without an answer", "a refusal", "a forbidden room", "no credentials", "no typing", "no uploads"],
)
def test_a_run_that_cannot_succeed_is_one_line_and_exit_code_2(
    capacity: Callable[..., Run], server: AcmeServer, flags: tuple[str, ...], words: str
) -> None:
    with server.running() as url:
        run = capacity("--host", url, "--dialect", f"{ACME}:AcmeDialect", "--bounded", USERS, *TOLERANT, *flags)
        assert run.wait() == 2, run.errors
    assert run.error.startswith("capacity: ")
    assert words in run.error
    assert not (run.folder / "report.json").exists()
