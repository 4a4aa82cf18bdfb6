"""The compared servers: how to start each, and the protocol of its clients."""

from __future__ import annotations

import importlib.util
import sys
from ctypes.util import find_library
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.load.dialects import PLAIN, SOCKET_IO
from benchmarks.node_packages import install, plain_command
from benchmarks.package_cache import CACHE
from benchmarks.processes import LOOPBACK, ROOT, BenchmarkError, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.load.dialects import ChatDialect

OURS: Final = "stampede"
BUN: Final = "bun"
NODE_WS: Final = "node-ws"

_SERVERS_FOLDER: Final = ROOT / "benchmarks" / "servers"
_PRESENCE: Final = ("--presence-threshold", "200")
"""Above this size our server sends coalesced presence, as it does by default, and the other servers send none.

With full presence, 5 000 clients that join one room cause twelve million messages before the measurement starts."""


@dataclass(frozen=True, slots=True)
class Server:
    """A compared server.

    Attributes:
        key: name in options and saved results.
        title: name in tables.
        command: returns the command that starts the server, given a folder for uploads; raises BenchmarkError if
            something is not installed.
        dialect: the protocol of its clients.
    """

    key: str
    title: str
    command: Callable[[Path], list[str]]
    dialect: ChatDialect = PLAIN


def _ours(folder: Path) -> list[str]:
    # As shipped, but with two limits raised: a few clients from one address stand for many users.
    return stampede_command("--upload-dir", str(folder), "--handshake-rate", "100000", *_PRESENCE)


def _node_ws(_folder: Path) -> list[str]:
    return [*plain_command(), *_PRESENCE]


def _bun(_folder: Path) -> list[str]:
    server = install(_SERVERS_FOLDER / "bun")
    binary = CACHE / "bun" / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"
    return [str(binary), str(server), *LOOPBACK, *_PRESENCE]


def _node(name: str) -> Callable[[Path], list[str]]:
    return lambda _folder: ["node", str(install(_SERVERS_FOLDER / name)), *LOOPBACK, *_PRESENCE]


def _python(library: str) -> Callable[[Path], list[str]]:
    def command(_folder: Path) -> list[str]:
        if importlib.util.find_spec(library) is None:
            raise BenchmarkError(f"{library} not found: {sys.executable} -m pip install {library}")
        return [sys.executable, "-m", f"benchmarks.servers.{library}_server", *LOOPBACK, *_PRESENCE]

    return command


def _socketify(folder: Path) -> list[str]:
    if find_library("uv") is None:
        raise BenchmarkError("libuv not found, which socketify needs (Debian: apt-get install libuv1)")
    return _python("socketify")(folder)


SERVERS: Final = {
    server.key: server
    for server in (
        Server(OURS, "Stampede", _ours),
        Server(BUN, "Bun", _bun),
        Server("uws", "uWebSockets.js", _node("uws")),
        Server(NODE_WS, "Node ws", _node_ws),
        Server("socketio", "Socket.IO", _node("socketio"), SOCKET_IO),
        Server("socketify", "socketify", _socketify),
        Server("picows", "picows", _python("picows")),
        Server("aiohttp", "aiohttp", _python("aiohttp")),
        Server("websockets", "websockets", _python("websockets")),
    )
}
