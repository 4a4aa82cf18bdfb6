"""The servers that are compared: how each is started, and how its clients speak."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks._talk import PLAIN, SOCKET_IO
from benchmarks.peers import CACHE, LOCAL, ROOT, PeerError, install, plain_command, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks._talk import Dialect

OURS: Final = "stampede"
BEST: Final = "bun"
USUAL: Final = "node-ws"

_SERVERS: Final = ROOT / "benchmarks" / "servers"
_PRESENCE: Final = ("--presence-threshold", "200")
"""Above it our server tells a room of comings and goings in sum, as it does by default, and the peers not at all:
otherwise 5 000 joining one room are twelve million messages before anything is measured."""


@dataclass(frozen=True, slots=True)
class Server:
    """One that is compared.

    Attributes:
        key: its name in flags and saved results.
        title: its name for people.
        command: returns the command that starts it, given a folder for what it stores; raises PeerError where
            something is missing.
        dialect: what its clients speak.
    """

    key: str
    title: str
    command: Callable[[Path], list[str]]
    dialect: Dialect = PLAIN


def _ours(folder: Path) -> list[str]:
    # As shipped but for two limits: a few clients on one address stand for many, and may come and talk as fast.
    return stampede_command("--upload-dir", str(folder), "--handshake-rate", "100000", *_PRESENCE)


def _node_ws(_folder: Path) -> list[str]:
    return [*plain_command(), *_PRESENCE]


def _bun(_folder: Path) -> list[str]:
    server = install(_SERVERS / "bun")
    binary = CACHE / "bun" / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"
    return [str(binary), str(server), *LOCAL, *_PRESENCE]


def _node(name: str) -> Callable[[Path], list[str]]:
    return lambda _folder: ["node", str(install(_SERVERS / name)), *LOCAL, *_PRESENCE]


def _python(library: str) -> Callable[[Path], list[str]]:
    def command(_folder: Path) -> list[str]:
        if importlib.util.find_spec(library) is None:
            raise PeerError(f"{library} not found: {sys.executable} -m pip install {library}")
        return [sys.executable, "-m", f"benchmarks.servers.{library}_server", *LOCAL, *_PRESENCE]

    return command


ROSTER: Final = {
    server.key: server
    for server in (
        Server(OURS, "Stampede", _ours),
        Server(BEST, "Bun", _bun),
        Server("uws", "uWebSockets.js", _node("uws")),
        Server(USUAL, "Node ws", _node_ws),
        Server("socketio", "Socket.IO", _node("socketio"), SOCKET_IO),
        Server("picows", "picows", _python("picows")),
        Server("aiohttp", "aiohttp", _python("aiohttp")),
        Server("websockets", "websockets", _python("websockets")),
    )
}
