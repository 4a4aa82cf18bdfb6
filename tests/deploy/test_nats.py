"""The NATS servers of the manifests find each other, and a node whose NATS server dies connects to another."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.deploy.test_haproxy import enter
from tests.metrics.fixtures import wait_until
from tests.ports import free_ports
from tests.promises.server_process import launch
from tests.server.cluster.fixtures import BINARY
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.promises.server_process import ServerProcess

CONFIGURATION = ROOT / "deploy" / "kubernetes" / "base" / "nats.conf"


@contextmanager
def nats(folder: Path, port: int, route: int, other: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run NATS with the committed configuration, with its ports, pid file and route name replaced."""
    text = CONFIGURATION.read_text()
    for old, new in {
        "port: 4222": f'listen: "127.0.0.1:{port}"',
        "port: 6222": f'listen: "127.0.0.1:{route}"',
        "http_port: 8222\n": "",
        "stampede-nats-routes:6222": f"127.0.0.1:{other}",
        "/tmp/nats.pid": str(folder / f"{port}.pid"),  # noqa: S108 - as in the file
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / f"{port}.conf").write_text(text)
    with subprocess.Popen([BINARY, "-c", folder / f"{port}.conf"], stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_chat_crosses_nats_servers_and_survives_the_loss_of_one(tmp_path: Path) -> None:
    one, two, one_route, two_route = free_ports(4)
    with ExitStack() as stack:
        goes = stack.enter_context(nats(tmp_path, one, one_route, two_route))
        stack.enter_context(nats(tmp_path, two, two_route, one_route))
        wait_until(lambda: all((tmp_path / f"{port}.pid").exists() for port in (one, two)), "both NATS servers")
        first, second = (stack.enter_context(launch("--nats", f"nats://127.0.0.1:{port}")) for port in (one, two))
        for server in (first, second):
            wait_until(partial(_knows_two, server), "the nodes to meet")
        ann, bob = (stack.enter_context(enter(server.url, name)) for server, name in ((first, "ann"), (second, "bob")))

        def is_received() -> bool:
            ann.send("chatMessage", text="hello")
            return any(message["type"] == "chatMessage" for message in bob.until_pong())

        wait_until(is_received, "a message to cross")  # subscriptions reach the other NATS server with a delay
        goes.kill()
        goes.wait()
        bob.until_pong()
        wait_until(is_received, "a message to cross again")
        wait_until(lambda: first.samples()["chat_bus_connected"] == 1, "the connection to NATS")


def _knows_two(server: ServerProcess) -> bool:
    return server.samples()["chat_bus_nodes"] == 2
