"""What the bus itself costs: NATS' CPU for a message in and out, and what a node remembers of the others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sysconfig
import tempfile
import threading
import time
import tracemalloc
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks._turns import cpu_seconds
from benchmarks.peers import PeerError
from server.cluster.membership import Elsewhere
from server.cluster.messages import Snapshot, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_SECONDS: Final = 60
_CARRIES: Final = 5
_CARRIED: Final = 100_000
_CARRIED_BYTES: Final = 170
"""What a chat message of the loads has on the bus, about."""

_LISTENING: Final = (1, 8)
_REMEMBERED_NODES: Final = 20
_REMEMBERED_ROOMS: Final = 5000


@dataclass(frozen=True, slots=True)
class Nats:
    """A running NATS server: where clients connect, where it tells of itself, and its process."""

    url: str
    monitor: str
    pid: int


@contextmanager
def nats(cpu: int) -> Iterator[Nats]:
    """Run a NATS server on one CPU."""
    binary = Path(sysconfig.get_path("scripts")) / "nats-server"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(binary), "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", folder]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - a fixed command
            try:
                psutil.Process(process.pid).cpu_affinity([cpu])
                ports = _ports(Path(folder), process)
                yield Nats(ports["nats"][0], ports["monitoring"][0], process.pid)
            finally:
                process.terminate()


def _ports(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, list[str]]:
    while process.poll() is None:
        for file in folder.glob("*.ports"):
            text = file.read_text()
            if text.rstrip().endswith("}"):
                return {name: list(urls) for name, urls in json.loads(text).items()}
        time.sleep(0.02)
    raise PeerError("nats-server ended")


def entry_bytes() -> float:
    """Return the bytes that a node remembers for each room of each other node, as the bus brings them."""
    tracemalloc.start()
    elsewhere = Elsewhere(0.0)
    before = tracemalloc.get_traced_memory()[0]
    for node in range(_REMEMBERED_NODES):
        members = {f"room{number:08d}": 1 for number in range(_REMEMBERED_ROOMS)}
        told = decode(encode(Snapshot(f"node{node}", 0, 0, 1, members)))
        del members
        if isinstance(told, Snapshot):
            elsewhere.take_snapshot(told, 0.0)
        del told
    gained = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return round(gained / (_REMEMBERED_NODES * _REMEMBERED_ROOMS), 1)


def carrying() -> dict[str, float]:
    """Return NATS' CPU microseconds for a message in and for one out, as fast as it goes.

    Messages that come one by one cost it more, since it wakes up for each.
    """
    costs = [min(_carried(listeners) for _ in range(_CARRIES)) for listeners in _LISTENING]
    (few, many), (cheap, dear) = _LISTENING, costs
    out = (dear - cheap) / (many - few)
    return {"second": 0.0, "in": round(cheap - few * out, 3), "out": round(out, 3)}


def _carried(listeners: int) -> float:
    """Return NATS' CPU microseconds for a message that so many listeners take."""
    cores = sorted(os.sched_getaffinity(0))
    with nats(cores[-1]) as bus, ExitStack() as stack:
        port = int(bus.url.rpartition(":")[2])
        taking = [stack.enter_context(_raw(port, b"SUB s 1\r\nPING\r\n")) for _ in range(listeners)]
        for each in taking:
            while b"PONG" not in each.recv(65536):
                pass
        giving = stack.enter_context(_raw(port, b""))
        message = b"PUB s %d\r\n%s\r\n" % (_CARRIED_BYTES, b"x" * _CARRIED_BYTES)
        taken = len(b"MSG s 1 %d\r\n\r\n" % _CARRIED_BYTES) + _CARRIED_BYTES
        threads = [threading.Thread(target=_take, args=(each, _CARRIED * taken)) for each in taking]
        before = cpu_seconds(bus.pid)
        for thread in threads:
            thread.start()
        for _ in range(_CARRIED // 1000):
            giving.sendall(message * 1000)
        for thread in threads:
            thread.join()
        return 1e6 * (cpu_seconds(bus.pid) - before) / _CARRIED


@contextmanager
def _raw(port: int, first: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as connection:
        connection.sendall(b'CONNECT {"verbose":false}\r\n' + first)
        yield connection


def _take(connection: socket.socket, least: int) -> None:
    """Read at least so many bytes."""
    buffer = bytearray(1 << 20)
    while least > 0:
        least -= connection.recv_into(buffer)
