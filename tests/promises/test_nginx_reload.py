"""A reload of nginx keeps its clients; old workers can be ended one by one and end at a limit."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.deploy.closed_connections import ClosedConnections
from tests.metrics.fixtures import wait_until
from tests.promises.certificates import Authority
from tests.promises.nginx_process import CONFIGURATION, Nginx, nginx
from tests.promises.server_process import ServerProcess, launch
from tests.promises.test_nginx import receive, through
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 40
WORKERS = 4
ADVICE = re.search(r"worker_shutdown_timeout (\d+)m;", CONFIGURATION.read_text())
COMMANDS = re.search(r"```sh\n(for worker in .*?)\n```", (ROOT / "deploy" / "README.md").read_text())


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with launch("--trusted-proxy", "127.0.0.1", "--drain-seconds", "1") as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    tmp_path.chmod(0o755)
    return Authority(tmp_path)


def wait_until_ended(running: Nginx, old: set[int]) -> None:
    wait_until(lambda: not running.workers & old, "the old workers to end")


def test_the_commands_of_the_readme_end_old_workers_one_by_one(
    server: ServerProcess, authority: Authority, tmp_path: Path
) -> None:
    assert COMMANDS is not None
    assert COMMANDS[1].count("/run/nginx.pid") == COMMANDS[1].count("sleep 30") == 1
    commands = COMMANDS[1].replace("/run/nginx.pid", str(tmp_path / "nginx.pid")).replace("sleep 30", "sleep 2")
    with nginx(tmp_path, server.url.removeprefix("ws://"), workers=WORKERS) as running, ClosedConnections() as clients:
        clients.connect(f"127.0.0.1:{running.port}", CLIENTS, authority.trust)
        old = running.reload()
        with through(running.port, authority) as newcomer:
            receive(newcomer, "connected")
            clients.poll()
            assert clients.at == [], "a reload closes no connection"
            with subprocess.Popen(["bash", "-euc", commands]) as loop:
                clients.wait_until_closed()
                assert loop.wait() == 0
            wait_until_ended(running, old)
            newcomer.send('{"type":"ping"}')
            receive(newcomer, "pong")
        assert clients.at[-1] - clients.at[0] > 2, "they were closed in steps"
        assert clients.busiest_second() < CLIENTS


def test_an_old_worker_ends_at_its_limit_although_its_clients_are_connected(
    server: ServerProcess, authority: Authority, tmp_path: Path
) -> None:
    assert ADVICE is not None
    assert int(ADVICE[1]) >= 10, "time enough to end them before"
    soon = ADVICE[0].replace(f"{ADVICE[1]}m", "1s")
    with nginx(tmp_path, server.url.removeprefix("ws://"), main=soon) as running, ClosedConnections() as clients:
        clients.connect(f"127.0.0.1:{running.port}", 3, authority.trust)
        wait_until_ended(running, running.reload())
        clients.wait_until_closed()


def test_draining_the_server_after_a_reload_ends_the_old_worker(
    server: ServerProcess, authority: Authority, tmp_path: Path
) -> None:
    with nginx(tmp_path, server.url.removeprefix("ws://")) as running, ClosedConnections() as clients:
        clients.connect(f"127.0.0.1:{running.port}", 3, authority.trust)
        old = running.reload()
        server.process.send_signal(signal.SIGTERM)
        clients.wait_until_closed()
        server.finish()
        wait_until_ended(running, old)
