"""Chat servers whose limits are known by construction, and the users at which each reaches its limit.

A server has one of two limits:

- `work`: each message takes so many milliseconds of the server's CPU. The server is pinned to one core, so that it
  processes 1000 / VALUE messages a second.
- `rate`: the server publishes at most VALUE messages a second, and hardly uses its core.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.node_packages import install
from benchmarks.processes import ROOT, running, separate_cpus, stampede_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOM_SIZE: Final = 2
MESSAGE_RATE: Final = 1.0
UNCONFIRMED: Final = ("--join-grace", "0.2")  # these servers do not confirm joins, which take no time here
LOAD: Final = ("--room-size", str(ROOM_SIZE), "--message-rate", f"{MESSAGE_RATE:g}")
CHANNELS: Final = ROOT / "docs" / "dialects" / "django-channels-chat.toml"


class LimitKind(StrEnum):
    """What limits a server."""

    WORK = "work"
    RATE = "rate"


VALUES: Final = {LimitKind.WORK: (4.0, 8.0, 16.0), LimitKind.RATE: (250.0, 125.0, 62.5)}


def messages_per_second(kind: LimitKind, value: float) -> float:
    """Return how many messages a second a server with this limit publishes."""
    return 1000 / value if kind is LimitKind.WORK else value


@dataclass(frozen=True, slots=True)
class LimitedServer:
    """A server with a limit.

    Attributes:
        command: returns the command that starts it with a limit. Raises BenchmarkError if something is not installed.
        dialect: the options of the load test for its protocol.
    """

    command: Callable[[LimitKind, float], list[str]]
    dialect: tuple[str, ...] = ()

    @contextmanager
    def running(self, kind: LimitKind, value: float) -> Iterator[str]:
        """Run the server on one core until the block ends; yield its URL.

        Raises:
            BenchmarkError: it cannot be started.
        """
        cpus = separate_cpus()
        with running(self.command(kind, value), cpus[0] if cpus else None) as server:
            yield server.url


def _flags(kind: LimitKind, value: float) -> tuple[str, str]:
    return (f"--{kind}", f"{value / 1000 if kind is LimitKind.WORK else value:g}")


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.accuracy.{name}"]


def _python(name: str) -> Callable[[LimitKind, float], list[str]]:
    return lambda kind, value: [*_module(name), *_flags(kind, value)]


def _socketio(kind: LimitKind, value: float) -> list[str]:
    return ["node", str(install(Path(__file__).parent / "socketio_chat")), *_flags(kind, value)]


def _stampede(kind: LimitKind, value: float) -> list[str]:
    if kind is LimitKind.WORK:
        return stampede_command("--work-per-message", f"{value / 1000:g}")
    return [*_module("limited_server"), "--limit", f"{value * (ROOM_SIZE - 1):g}"]


SERVERS: Final = {
    "socketio": LimitedServer(_socketio, ("--dialect", "socketio", *UNCONFIRMED)),
    "daphne": LimitedServer(_python("channels_chat"), ("--dialect", str(CHANNELS), *UNCONFIRMED)),
    "mosquitto": LimitedServer(_python("mosquitto_broker"), ("--dialect", "mqtt")),
    "stampede": LimitedServer(_stampede),
}
