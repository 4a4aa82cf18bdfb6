"""A server at `--host` that runs on this machine, too: which cores the load generator leaves it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import psutil

from capacity.processes.process import Cores

if TYPE_CHECKING:
    from collections.abc import Sequence

_ANY: Final = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - compared with, never bound to


@dataclass(frozen=True, slots=True)
class LocalServer:
    """What runs on this machine of a server.

    Attributes:
        processes: how many of them serve; 1 where the system does not show them, as of a container.
        cores: which they may run on; empty where that is not known.
    """

    processes: int = 1
    cores: tuple[int, ...] = ()


def find_local_server(url: str) -> LocalServer | None:
    """Return what runs here of the server at a WebSocket URL; None where its address is of another machine."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    addresses = _addresses(parts.hostname or "", port)
    here = {one.address.partition("%")[0] for found in psutil.net_if_addrs().values() for one in found}
    if not any(address in here or ipaddress.ip_address(address).is_loopback for address in addresses):
        return None
    serving = _serving(addresses, port)
    cores: set[int] = set()
    for process in serving:
        with contextlib.suppress(psutil.Error, AttributeError):  # systems without affinity
            cores |= set(process.cpu_affinity() or ())
    return LocalServer(max(1, len(serving)), tuple(sorted(cores)))


def _addresses(host: str, port: int) -> set[str]:
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return {str(address[0]).partition("%")[0] for *_, address in found}
    return set()


def _serving(addresses: set[str], port: int) -> list[psutil.Process]:
    """Return the processes that serve at the port; of one that lends its socket to others, those."""
    holders: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):  # names one process of those that share a socket
            if one.pid is None or one.status != psutil.CONN_LISTEN or not one.laddr or one.laddr.port != port:
                continue
            if one.laddr.ip in _ANY or one.laddr.ip.removeprefix("::ffff:") in addresses:
                process = psutil.Process(one.pid)
                holders |= {kin.pid: kin for kin in _kin(process) if kin == process or _listens(kin, port)}
    lenders = {process.ppid() for process in holders.values() if process.ppid() in holders}
    serving = [process for pid, process in holders.items() if pid not in lenders]
    if len(serving) == 1:
        with contextlib.suppress(psutil.Error):
            return serving[0].children(recursive=True) or serving
    return serving


def _kin(process: psutil.Process) -> list[psutil.Process]:
    """Return a process with its parent, and all that either started."""
    parent = process.parent()
    root = parent if parent is not None and parent.pid > 1 else process
    return [root, *root.children(recursive=True)]


def _listens(process: psutil.Process, port: int) -> bool:
    with contextlib.suppress(psutil.Error):
        found = process.net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
    return False


def cores_beside(usable: Sequence[int], server: LocalServer | None) -> Cores:
    """Return the cores of the load generator: all, without those of a server that runs here, as far as there are more.

    A server that is bound to cores keeps these. Of one that may run anywhere, the last usable ones are left to it, one
    a process: the system moves it to where it has room.
    """
    if server is None:
        return Cores((), tuple(usable))
    bound = bool(server.cores) and not set(usable) <= set(server.cores)
    if bound:
        left = tuple(core for core in usable if core not in server.cores)
        return Cores(server.cores, left) if left else Cores((), tuple(usable))
    left = tuple(usable[: -server.processes])
    return Cores((), left or tuple(usable))


def competes(usable: Sequence[int], cores: Cores) -> bool:
    """Tell whether server and load generator have the same cores, which were too few."""
    return not cores.server and set(cores.generator) == set(usable)


COMPETES: Final = (
    "the server runs on this machine and no core is left to it: it competes with the load generator, so this is what "
    "the machine takes, not what the server could"
)


def left_words(usable: Sequence[int], cores: Cores) -> str:
    """Say which cores a server on this machine was left."""
    left = cores.server or [core for core in usable if core not in cores.generator]
    return f"the server runs on this machine: core {', '.join(map(str, left))} is left to it"
