"""Find a server at `--host` on this machine, and reserve cores for it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import psutil

from capacity.processes.cores import Cores

if TYPE_CHECKING:
    from collections.abc import Sequence

_ANY: Final = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - compared with, never bound to

COMPETING_NOTE: Final = (
    "the server runs on this machine and has no core of its own: it competes with the load generator, so the result is "
    "the capacity of the machine, not of the server"
)


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server on this machine.

    Attributes:
        processes: number of processes that serve; 1 if the system does not show them, as for a container.
        cores: the cores they may run on; empty if unknown.
    """

    processes: int = 1
    cores: tuple[int, ...] = ()


def find_local_server(url: str) -> LocalServer | None:
    """Return the server at a WebSocket URL if its address belongs to this machine, else None."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    addresses = _resolve(parts.hostname or "", port)
    own = {one.address.partition("%")[0] for found in psutil.net_if_addrs().values() for one in found}
    if not any(address in own or ipaddress.ip_address(address).is_loopback for address in addresses):
        return None
    serving = _serving_processes(addresses, port)
    cores: set[int] = set()
    for process in serving:
        with contextlib.suppress(psutil.Error, AttributeError):  # systems without affinity
            cores |= set(process.cpu_affinity() or ())
    return LocalServer(max(1, len(serving)), tuple(sorted(cores)))


def _resolve(host: str, port: int) -> set[str]:
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return {str(address[0]).partition("%")[0] for *_, address in found}
    return set()


def _serving_processes(addresses: set[str], port: int) -> list[psutil.Process]:
    """Return the processes that serve the port, without a parent that only shares its socket with its children."""
    holders: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):  # names only one of the processes that share a socket
            if one.pid is None or one.status != psutil.CONN_LISTEN or not one.laddr or one.laddr.port != port:
                continue
            if one.laddr.ip in _ANY or one.laddr.ip.removeprefix("::ffff:") in addresses:
                process = psutil.Process(one.pid)
                family = _family(process)
                holders |= {kin.pid: kin for kin in family if kin == process or _listens(kin, port)}
    parents = {process.ppid() for process in holders.values() if process.ppid() in holders}
    serving = [process for pid, process in holders.items() if pid not in parents]
    if len(serving) == 1:
        with contextlib.suppress(psutil.Error):
            return serving[0].children(recursive=True) or serving
    return serving


def _family(process: psutil.Process) -> list[psutil.Process]:
    """Return a process, its parent, and all descendants of either."""
    parent = process.parent()
    root = parent if parent is not None and parent.pid > 1 else process
    return [root, *root.children(recursive=True)]


def _listens(process: psutil.Process, port: int) -> bool:
    with contextlib.suppress(psutil.Error):
        found = process.net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
    return False


def cores_beside(usable: Sequence[int], server: LocalServer | None) -> Cores:
    """Return the cores of the load generator: all usable ones, without those of a server on this machine.

    A pinned server keeps its cores. For a server that is not pinned, the last usable cores are reserved, one for each
    process; the system moves it there. If no core remains, both sides use all of them.
    """
    if server is None:
        return Cores((), tuple(usable))
    is_pinned = bool(server.cores) and not set(usable) <= set(server.cores)
    if is_pinned:
        remaining = tuple(core for core in usable if core not in server.cores)
        return Cores(server.cores, remaining) if remaining else Cores((), tuple(usable))
    remaining = tuple(usable[: -server.processes])
    return Cores((), remaining or tuple(usable))


def are_competing(usable: Sequence[int], cores: Cores) -> bool:
    """Return whether a server on this machine and the load generator share all cores."""
    return not cores.server and set(cores.generator) == set(usable)


def reserved_cores_note(usable: Sequence[int], cores: Cores) -> str:
    """Return a note that names the cores reserved for a server on this machine."""
    reserved = cores.server or [core for core in usable if core not in cores.generator]
    return f"the server runs on this machine: core {', '.join(map(str, reserved))} is reserved for it"
