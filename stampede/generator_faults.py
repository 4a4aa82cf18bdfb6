"""Faults of the load generator: limits of its machine, and errors in its code; pure.

A fault is not caused by the server, so a run with a fault is invalid. Each process counts its faults by kind and
reports the counts to the master. The verdict has one line for each kind and detail, with the sum over all processes.
"""

from __future__ import annotations

import errno
import ssl
from enum import StrEnum
from socket import gaierror
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAX_DETAILS: Final = 8
"""Different details kept for one kind. Further ones are counted together."""

_OTHERS: Final = "various others"


class FaultKind(StrEnum):
    """The kinds of faults. The value is the name in reports."""

    PORTS = "local ports"
    FILES = "open files"
    MEMORY = "memory"
    CPU_QUOTA = "CPU quota"
    MEMORY_LIMIT = "memory limit"
    CONNTRACK = "connection tracking"
    FIREWALL = "firewall"
    NETWORK = "network"
    NAMES = "name resolution"
    CERTIFICATE = "certificate"
    ASSIGNMENT = "assignment"
    START = "start"
    INTERNAL = "internal error"
    USER_CODE = "user code"


_BY_ERRNO: Final = {
    errno.EADDRNOTAVAIL: FaultKind.PORTS,  # by connect(2) when every port towards this address is in use
    errno.EADDRINUSE: FaultKind.PORTS,  # the same for a socket that is bound to a source address
    errno.EMFILE: FaultKind.FILES,
    errno.ENFILE: FaultKind.FILES,
    errno.ENOMEM: FaultKind.MEMORY,
    errno.ENOBUFS: FaultKind.MEMORY,
    errno.ENOSPC: FaultKind.MEMORY,  # by epoll_ctl(2): fs.epoll.max_user_watches
    errno.EPERM: FaultKind.FIREWALL,
    errno.EACCES: FaultKind.FIREWALL,
    errno.ENETDOWN: FaultKind.NETWORK,
}

_WHAT: Final = {
    FaultKind.PORTS: "no local port was left for {n} connections",
    FaultKind.FILES: "{n} connections exceeded the limit of open files",
    FaultKind.MEMORY: "the kernel of this machine had no memory for {n} sockets",
    FaultKind.CPU_QUOTA: "the control group of the load generator used up its CPU quota",
    FaultKind.MEMORY_LIMIT: "the control group of the load generator reached its memory limit",
    FaultKind.CONNTRACK: "the connection tracking table of this machine is almost full",
    FaultKind.FIREWALL: "a firewall rule of this machine blocked {n} connections",
    FaultKind.NETWORK: "the network of this machine was down for {n} connections",
    FaultKind.NAMES: "the name of the server could not be resolved on this machine",
    FaultKind.CERTIFICATE: "the server's certificate was not trusted in {n} connections",
    FaultKind.ASSIGNMENT: "a worker never received its assignment, so its users did not run",
    FaultKind.START: "the users of a worker did not run",
    FaultKind.INTERNAL: "internal error of the load generator, {n} times",
    FaultKind.USER_CODE: "exception in user code, {n} times",
}

_ADVICE: Final = {
    FaultKind.PORTS: "Widen net.ipv4.ip_local_port_range, or add workers on other machines.",
    FaultKind.FILES: "Raise the limit (ulimit -n) before the load generator starts, or use more --processes.",
    FaultKind.MEMORY: "Give this machine more memory, or add workers on other machines.",
    FaultKind.CPU_QUOTA: "Raise the CPU quota of this container or control group, or add workers on other machines.",
    FaultKind.MEMORY_LIMIT: "Raise the memory limit of this container or control group, or add other machines.",
    FaultKind.CONNTRACK: "Raise net.netfilter.nf_conntrack_max, or exempt the load from connection tracking.",
    FaultKind.FIREWALL: "Check the firewall rules of this machine.",
    FaultKind.CERTIFICATE: "Set --ca-file to the authority of the certificate, or use --insecure.",
    FaultKind.ASSIGNMENT: "Check the network between the master and that worker, then start the run again.",
}


def kind_of(error: OSError) -> FaultKind | None:
    """Return the limit of this machine that caused a connect error; None if the network or the server is the cause."""
    if isinstance(error, gaierror):
        return FaultKind.NAMES
    if isinstance(error, ssl.SSLError):
        return FaultKind.CERTIFICATE if isinstance(error, ssl.SSLCertVerificationError) else None
    return _BY_ERRNO.get(error.errno or 0)


class Fault(msgspec.Struct, frozen=True):
    """One kind of fault with one detail, and how often it occurred."""

    kind: FaultKind
    detail: str
    count: int

    @property
    def text(self) -> str:
        """The fault as one line."""
        text = _WHAT[self.kind].format(n=self.count)
        return f"{self.kind}: {text}{f' ({self.detail})' if self.detail else ''}"

    @property
    def advice(self) -> str | None:
        """The remedy for the fault; empty if there is none."""
        return _ADVICE.get(self.kind)


class Faults:
    """The faults of one process, in bounded memory."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[FaultKind, str], int] = {}

    def add(self, kind: FaultKind, detail: str = "") -> bool:
        """Count a fault; return whether it is the first of its kind and detail."""
        key = (kind, detail)
        if key not in self._counts and sum(known is kind for known, _ in self._counts) >= _MAX_DETAILS:
            key = (kind, _OTHERS)
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key] == 1

    def __iter__(self) -> Iterator[Fault]:
        return (Fault(kind, detail, n) for (kind, detail), n in self._counts.items())


def merge_faults(faults: Iterable[Fault]) -> list[Fault]:
    """Add up the faults of several processes, each kind and detail once."""
    counts: dict[tuple[FaultKind, str], int] = {}
    for fault in faults:
        key = (fault.kind, fault.detail)
        counts[key] = counts.get(key, 0) + fault.count
    return [Fault(kind, detail, n) for (kind, detail), n in counts.items()]
