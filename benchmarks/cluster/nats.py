"""Run NATS, and measure its CPU per message and the memory that a node needs for the members of other nodes."""

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

from benchmarks.processes import BenchmarkError, cpu_seconds
from server.cluster.membership import RemoteMembership
from server.cluster.messages import Snapshot, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT_SECONDS: Final = 60
_RUNS: Final = 5
_MESSAGES: Final = 100_000
_MESSAGE_BYTES: Final = 170
"""Approximate size of a chat message of the loads on the bus."""

_SUBSCRIBERS: Final = (1, 8)
_OTHER_NODES: Final = 20
_ROOMS_PER_NODE: Final = 5000


@dataclass(frozen=True, slots=True)
class Nats:
    """A running NATS server: the client URL, the monitoring URL, and the process id."""

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
    raise BenchmarkError("nats-server ended")


def entry_bytes() -> float:
    """Return the bytes of memory that a node uses for each room of each other node."""
    tracemalloc.start()
    membership = RemoteMembership(0.0)
    before = tracemalloc.get_traced_memory()[0]
    for node in range(_OTHER_NODES):
        members = {f"room{number:08d}": 1 for number in range(_ROOMS_PER_NODE)}
        snapshot = decode(encode(Snapshot(f"node{node}", 0, 0, 1, members)))
        del members
        if isinstance(snapshot, Snapshot):
            membership.apply_snapshot(snapshot, 0.0)
        del snapshot
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return round(used / (_OTHER_NODES * _ROOMS_PER_NODE), 1)


def cpu_per_message() -> dict[str, float]:
    """Return the CPU microseconds of NATS for a message in and for a message out, at full speed.

    Single messages cost NATS more, because it wakes up for each.
    """
    costs = [min(_cpu_us(subscribers) for _ in range(_RUNS)) for subscribers in _SUBSCRIBERS]
    (few, many), (cheap, dear) = _SUBSCRIBERS, costs
    out = (dear - cheap) / (many - few)
    return {"second": 0.0, "in": round(cheap - few * out, 3), "out": round(out, 3)}


def _cpu_us(subscribers: int) -> float:
    """Return the CPU microseconds of NATS for a message with so many subscribers."""
    cores = sorted(os.sched_getaffinity(0))
    with nats(cores[-1]) as bus, ExitStack() as stack:
        port = int(bus.url.rpartition(":")[2])
        readers = [stack.enter_context(_connect(port, b"SUB s 1\r\nPING\r\n")) for _ in range(subscribers)]
        for each in readers:
            while b"PONG" not in each.recv(65536):
                pass
        sender = stack.enter_context(_connect(port, b""))
        message = b"PUB s %d\r\n%s\r\n" % (_MESSAGE_BYTES, b"x" * _MESSAGE_BYTES)
        size = len(b"MSG s 1 %d\r\n\r\n" % _MESSAGE_BYTES) + _MESSAGE_BYTES
        threads = [threading.Thread(target=_read_bytes, args=(each, _MESSAGES * size)) for each in readers]
        before = cpu_seconds(bus.pid)
        for thread in threads:
            thread.start()
        for _ in range(_MESSAGES // 1000):
            sender.sendall(message * 1000)
        for thread in threads:
            thread.join()
        return 1e6 * (cpu_seconds(bus.pid) - before) / _MESSAGES


@contextmanager
def _connect(port: int, first: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as connection:
        connection.sendall(b'CONNECT {"verbose":false}\r\n' + first)
        yield connection


def _read_bytes(connection: socket.socket, least: int) -> None:
    """Read at least so many bytes from a connection."""
    buffer = bytearray(1 << 20)
    while least > 0:
        least -= connection.recv_into(buffer)
