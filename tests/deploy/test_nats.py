"""The NATS servers of the manifests find each other, and a node whose server is gone goes on with another."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.cluster.conftest import BINARY, wait_until
from tests.deploy.test_haproxy import enter, hear
from tests.faults._server import launch
from tests.ports import free_ports
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIGURATION = ROOT / "deploy" / "kubernetes" / "base" / "nats.conf"


@contextmanager
def nats(folder: Path, port: int, route: int, other: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server with the configuration, its ports, its pid file and the name that stands for all replaced."""
    text = CONFIGURATION.read_text()
    for old, new in {
        "port: 4222": f'listen: "127.0.0.1:{port}"',
        "port: 6222": f'listen: "127.0.0.1:{route}"',
        "http_port: 8222\n": "",
        "stampede-nats-routes:6222": f"127.0.0.1:{other}",
        "/tmp/nats.pid": str(folder / f"{port}.pid"),  # noqa: S108 - what stands in the file
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / f"{port}.conf").write_text(text)
    with subprocess.Popen([BINARY, "-c", folder / f"{port}.conf"], stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_chat_crosses_servers_and_survives_one(tmp_path: Path) -> None:
    one, two, one_route, two_route = free_ports(4)
    with ExitStack() as stack:
        goes = stack.enter_context(nats(tmp_path, one, one_route, two_route))
        stack.enter_context(nats(tmp_path, two, two_route, one_route))
        wait_until(lambda: (tmp_path / f"{one}.pid").exists() and (tmp_path / f"{two}.pid").exists())
        first, second = (stack.enter_context(launch("--nats", f"nats://127.0.0.1:{port}")) for port in (one, two))
        wait_until(lambda: first.samples()["chat_bus_nodes"] == second.samples()["chat_bus_nodes"] == 2)
        ann, bob = (stack.enter_context(enter(server.url, name)) for server, name in ((first, "ann"), (second, "bob")))
        ann.send("chatMessage", text="before")
        assert hear(bob, "chatMessage")["text"] == "before"
        goes.kill()

        def heard() -> bool:
            ann.send("chatMessage", text="after")
            return any(message["type"] == "chatMessage" for message in bob.until_pong())

        wait_until(heard)
        wait_until(lambda: first.samples()["chat_bus_connected"] and first.samples()["chat_bus_nodes"] == 2)
