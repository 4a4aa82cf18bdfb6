"""The commands of the real servers, and of clients that do without our code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.node_packages import install
from benchmarks.processes import BenchmarkError
from tests.dialects.environments import python_with
from tests.tables import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialects.real_server import RealServer

FOLDER = Path(__file__).parent
JAVASCRIPT = FOLDER / "javascript"
FILES = FOLDER / "files"
"""Files that extend built-in dialects for the applications of these servers."""

CLIENT_SECONDS = 200
DEBIAN_PACKAGES = {"ruby": "ruby-actioncable puma ruby-minitest"}


@dataclass(frozen=True, slots=True)
class Program:
    """A real server and its independent clients.

    Attributes:
        server: returns the command that starts the server; `--port` and other flags are appended. Raises
            BenchmarkError if something is not installed.
        clients: commands of clients, by the name of their library.
        echoes: whether senders receive their own messages unless a flag says otherwise.
    """

    server: Callable[[], list[str]]
    clients: dict[str, Callable[[], list[str]]]
    echoes: bool = True


def _node(program: str) -> Callable[[], list[str]]:
    return lambda: ["node", str(install(JAVASCRIPT, program))]


def _python(module: str, *arguments: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"tests.dialects.{module}", *arguments]


def _signalr(module: str, *arguments: str) -> Callable[[], list[str]]:
    # aiosignalr requires an older release of the websockets library than the project uses.
    return lambda: [str(python_with(FOLDER / "signalr")), "-m", f"tests.dialects.{module}", *arguments]


def daemon_path(name: str) -> str:
    """Return the path of a program, which may be in a folder for administrators.

    Raises:
        BenchmarkError: it is not installed.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        packages = DEBIAN_PACKAGES.get(name, name)
        raise BenchmarkError(f"{name} not found (Debian: apt-get install --no-install-recommends {packages})")
    return path


def _broker(name: str, module: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        daemon_path(name)
        return _python(f"servers.{module}")()

    return command


def _ruby(script: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        ruby = daemon_path("ruby")
        check = [ruby, "-e", "require 'action_cable'; require 'puma'"]
        if subprocess.run(check, capture_output=True, check=False).returncode:
            raise BenchmarkError(f"Action Cable not found (Debian: apt-get install {DEBIAN_PACKAGES['ruby']})")
        return [ruby, str(FOLDER / "servers" / script)]

    return command


def _websockets(protocol: str) -> dict[str, Callable[[], list[str]]]:
    return {"websockets": _python("clients.websockets_client", protocol)}


_SOCKETIO_CLIENTS = {
    "socket.io-client": _node("socketio_client.mjs"),
    "python-socketio": _python("clients.socketio_client"),
}

PROGRAMS = {
    "acme": Program(_python("servers.acme_chat"), {}, echoes=False),
    "socket.io": Program(_node("socketio_server.mjs"), _SOCKETIO_CLIENTS, echoes=False),
    "python-socketio": Program(_python("servers.socketio_chat"), _SOCKETIO_CLIENTS, echoes=False),
    "fastapi": Program(_python("servers.fastapi_chat"), _websockets("fastapi")),
    "django-channels": Program(_python("servers.django_chat"), _websockets("django")),
    "graphql-ws": Program(_node("graphql_server.mjs"), {"graphql-ws": _node("graphql_client.mjs")}),
    "phoenix": Program(_python("servers.phoenix_double"), {"phoenix": _node("phoenix_client.mjs")}),
    "centrifugo": Program(_python("servers.centrifugo_double"), {"centrifuge": _node("centrifugo_client.mjs")}),
    "pusher": Program(_python("servers.pusher_double"), {"pusher-js": _node("pusher_client.mjs")}, echoes=False),
    "signalr": Program(_signalr("servers.signalr_chat"), {"aiosignalr": _signalr("clients.signalr_client")}),
    "signalr-text": Program(
        _signalr("servers.signalr_chat", "--text-frames"),
        {"@microsoft/signalr": _node("signalr_client.mjs"), "aiosignalr": _signalr("clients.signalr_client")},
    ),
    "rabbitmq": Program(_broker("rabbitmq-server", "rabbitmq_broker"), {"stompjs": _node("stomp_client.mjs")}),
    "mosquitto": Program(_broker("mosquitto", "mosquitto_broker"), {"paho-mqtt": _python("clients.mqtt_client")}),
    "action-cable": Program(_ruby("actioncable_chat.rb"), {"@rails/actioncable": _node("actioncable_client.mjs")}),
}


def measure_latencies(server: RealServer, client: Callable[[], list[str]], *flags: str) -> dict[str, Any]:
    """Run an independent client and return what it measured: `sent`, `received`, `p10_ms`, `median_ms` and `p95_ms`."""
    done = subprocess.run(
        [*client(), "--url", server.url, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=CLIENT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result
