"""A reload of HAProxy closes no connection at once; those of the old worker are closed one after the other."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.deploy.closed_connections import ClosedConnections
from tests.deploy.conftest import CONFIGURATION, Balancer, balancer
from tests.deploy.test_haproxy import address, enter, receive
from tests.metrics.fixtures import wait_until
from tests.promises.server_process import ServerProcess, launch
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 100
SECONDS = 8
SCRIPT = [sys.executable, str(ROOT / "deploy" / "end_old_sessions.py")]


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with launch("--trusted-proxy", "127.0.0.1", "--drain-seconds", "2") as running:
        yield running


def workers(front: Balancer) -> set[psutil.Process]:
    assert front.process is not None
    return {
        child
        for child in psutil.Process(front.process.pid).children()
        if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    }


def ask(master: Path, command: str) -> str:
    """Return the answer of HAProxy's master process, or an empty string while it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(master))
            client.sendall(command.encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()
    except OSError:
        return ""


def reload(front: Balancer, master: Path) -> psutil.Process:
    """Reload HAProxy; return the old worker once the new one has taken over."""
    wait_until(lambda: "# workers" in ask(master, "show proc"), "the master")  # earlier the signal would be lost
    (old,) = workers(front)
    assert front.process is not None
    front.process.send_signal(signal.SIGUSR2)

    def has_taken_over() -> bool:
        return bool(workers(front) - {old}) and (has_gone(old) or "# old workers" in ask(master, "show proc"))

    wait_until(has_taken_over, "the new worker")
    return old


def has_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_connections_of_an_old_worker_are_closed_one_after_the_other(server: ServerProcess, tmp_path: Path) -> None:
    master = tmp_path / "master.sock"
    with balancer(address(server), flags=("-S", str(master))) as front, ClosedConnections() as clients:
        clients.connect(front.url.removeprefix("ws://"), CLIENTS)
        old = reload(front, master)
        with enter(front.url, "new") as newcomer:
            clients.poll()
            assert clients.at == [], "a reload closes no connection"
            with subprocess.Popen([*SCRIPT, str(master), "--seconds", str(SECONDS)], stdout=subprocess.PIPE) as spread:
                clients.wait_until_closed()
                output, _ = spread.communicate()
            assert spread.returncode == 0
            assert output.decode() == f"closing {CLIENTS} connections of old workers over {SECONDS} s\n"
            wait_until(lambda: has_gone(old), "the old worker to end")
            newcomer.until_pong()
        assert clients.at[-1] - clients.at[0] > SECONDS / 2
        assert clients.busiest_second() < CLIENTS
        done = subprocess.run([*SCRIPT, str(master)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "closing 0 connections of old workers over 60 s\n")


def test_a_missing_master_socket_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "none.sock"
    done = subprocess.run([*SCRIPT, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{path}: No such file or directory; is haproxy started with -W -S {path}?\n"


def test_an_old_worker_ends_at_its_limit_although_its_clients_are_connected(
    server: ServerProcess, tmp_path: Path
) -> None:
    master = tmp_path / "master.sock"
    with (
        balancer(address(server), flags=("-S", str(master)), BALANCER_HARD_STOP="3s") as front,
        ClosedConnections() as clients,
    ):
        clients.connect(front.url.removeprefix("ws://"), 3)
        old = reload(front, master)
        clients.wait_until_closed()
        wait_until(lambda: has_gone(old), "the old worker to end")
    (default,) = re.findall(r'hard-stop-after "\$\{BALANCER_HARD_STOP-(\d+)m\}"', CONFIGURATION.read_text())
    assert int(default) >= 10, "time enough to close the connections before"


def test_draining_the_servers_after_a_reload_ends_the_old_worker(server: ServerProcess, tmp_path: Path) -> None:
    master = tmp_path / "master.sock"
    two = launch("--trusted-proxy", "127.0.0.1")
    with two as other, balancer(address(server), address(other), flags=("-S", str(master))) as front:
        with enter(front.url, "ann") as ann, enter(front.url, "bob") as bob:
            old = reload(front, master)
            for one in (server, other):
                one.process.send_signal(signal.SIGTERM)
            for client in (ann, bob):
                with pytest.raises(Exception, match="1012"):
                    receive(client, "nothing")
            server.finish()
            other.finish()
        wait_until(lambda: has_gone(old), "the old worker to end")


def test_the_readme_names_the_script_and_the_limit() -> None:
    text = (ROOT / "deploy" / "README.md").read_text()
    assert "python3 deploy/end_old_sessions.py /run/haproxy-master.sock --seconds 60" in text
    assert "haproxy -W -S /run/haproxy-master.sock" in text
    assert "BALANCER_HARD_STOP" in CONFIGURATION.read_text().split("global")[0]
