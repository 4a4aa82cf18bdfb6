"""The server process: its first lines, its reaction to signals, and its errors at startup."""

from __future__ import annotations

import signal
import socket
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosedError

from stampede.websocket.frames import masked_text_frame
from tests.clients import ChatClient, RawClient
from tests.metrics.pages import series
from tests.processes import run_server, start_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer


def test_the_first_line_names_the_bound_url(server: RunningServer) -> None:
    page = server.url.replace("ws://", "http://")
    where = f"Stampede listening on {server.url} with its page at {page}"
    assert server.first_lines[0] == f"{where} (anyone may connect, under any name)\n"
    assert not server.url.endswith(":0")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_and_closes_connections_with_1012(number: signal.Signals) -> None:
    server = start_server("--drain-seconds", "0")
    with ChatClient(server.url) as client, ChatClient(server.url, "/ws/echo") as idle:
        client.expect("connected")
        server.process.send_signal(number)
        for each in (client, idle):
            with pytest.raises(ConnectionClosedError) as closed:
                each.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
    assert server.process.wait(timeout=20) == 0
    server.stopped = True
    _, log = server.process.communicate()
    assert [line.partition(" level=")[2].partition(" client=")[0] for line in log.splitlines()] == [
        'info event="connection closed"'
    ] * 2


@pytest.mark.parametrize(
    ("number", "name", "clients"),
    [(signal.SIGINT, "Ctrl-C", 3), (signal.SIGTERM, "SIGTERM", 3), (signal.SIGINT, "Ctrl-C", 1)],
)
def test_a_drain_prints_the_number_of_clients_and_a_second_signal_ends_it(
    number: signal.Signals, name: str, clients: int
) -> None:
    server = start_server("--drain-seconds", "3600")
    assert server.process.stdout is not None
    with ExitStack() as stack:
        for _ in range(clients):
            stack.callback(RawClient(server.url).close)
        server.process.send_signal(number)
        line = server.process.stdout.readline()
        assert line == f"draining {clients} client{'s' * (clients > 1)}, {name} again to end now\n"
        server.stop(number)


def test_a_drain_without_clients_prints_nothing() -> None:
    server = start_server("--drain-seconds", "3600")
    server.process.send_signal(signal.SIGINT)
    out, _ = server.process.communicate(timeout=60)
    assert out == ""
    assert server.process.returncode == 0


def test_a_closed_stdout_does_not_prevent_a_drain() -> None:
    server = start_server("--drain-seconds", "0")
    assert server.process.stdout is not None
    server.process.stdout.close()
    client = RawClient(server.url)
    server.process.send_signal(signal.SIGTERM)
    assert client.close_code() == 1012
    assert server.process.wait(timeout=60) == 0
    assert server.process.stderr is not None
    assert "Error" not in server.process.stderr.read()
    server.process.stderr.close()


def test_clients_that_do_not_answer_close_frames_do_not_delay_the_exit() -> None:
    server = start_server("--drain-seconds", "0")
    silent_clients = [RawClient(server.url) for _ in range(3)]
    server.stop()
    for client in silent_clients:
        client.close()


def test_a_port_in_use_ends_in_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_server("--port", port)
    assert done.returncode == 1
    assert done.stderr == f"stampede: cannot listen on 127.0.0.1:{port}: address already in use; choose another port\n"
    assert done.stdout == ""


def test_an_unknown_host_ends_in_one_clear_line() -> None:
    done = run_server("--host", "no.such.host.invalid")
    assert done.returncode == 1
    assert done.stderr.startswith("stampede: cannot listen on no.such.host.invalid:0: ")
    assert done.stderr.count("\n") == 1


def test_work_per_message_costs_that_much_cpu_time(tmp_path: Path) -> None:
    def cost(*flags: str) -> float:
        server = start_server("--upload-dir", str(tmp_path), "--message-rate", "0", "--drain-seconds", "0", *flags)
        with ChatClient(server.url) as client:
            before = server.samples()["process_cpu_seconds_total"]
            for _ in range(200):
                client.send("typing")
            client.until_pong()
            used = server.samples()["process_cpu_seconds_total"] - before
        server.stop()
        return used

    assert cost("--work-per-message", "0.002") - cost() == pytest.approx(201 * 0.002, rel=0.25)


def test_more_active_clients_than_the_server_can_serve_do_not_starve_others() -> None:
    """Without a time budget, libuv would read from 1 024 ready sockets repeatedly before it ran anything else."""
    clients, messages, work = 1300, 2, 0.001
    server = start_server("--work-per-message", str(work), "--drain-seconds", "0")
    clients_ = [RawClient(server.url) for _ in range(clients)]
    frame = masked_text_frame(b'{"type":"typing"}', b"mask") * messages
    server.process.send_signal(signal.SIGSTOP)  # so that all data has arrived before the server reads any of it
    for client in clients_:
        client.send(frame)
    page_request = HTTPConnection(server.http.removeprefix("http://"), timeout=60)
    page_request.request("GET", "/metrics")
    server.process.send_signal(signal.SIGCONT)
    # More than two seconds of work are waiting. The page is requested after them, and answered before them.
    page = series(page_request.getresponse().read())
    assert page['chat_messages_received_total{type="typing"}'] < clients * messages * 0.8
    page_request.close()
    for client in clients_:
        client.close()
    server.stop()
