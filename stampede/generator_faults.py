"""Faults of the load generator's own machine: typed, counted, and told once; pure.

They say nothing about the server: a run with one of them is invalid. A process counts them by kind, its report carries
the counts to the master, and the counts of all processes become one line of the verdict for each kind.
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

_MOST_DETAILS: Final = 8
"""Different details that are kept of one kind; further ones are counted together."""

_OTHERS: Final = "various others"


class FaultKind(StrEnum):
    """What is at fault on this side; the value names it in reports."""

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
    errno.EADDRNOTAVAIL: FaultKind.PORTS,  # what connect(2) says when each port towards this address is in use
    errno.EADDRINUSE: FaultKind.PORTS,  # the same of a socket that is bound to a source address
    errno.EMFILE: FaultKind.FILES,
    errno.ENFILE: FaultKind.FILES,
    errno.ENOMEM: FaultKind.MEMORY,
    errno.ENOBUFS: FaultKind.MEMORY,
    errno.ENOSPC: FaultKind.MEMORY,  # of epoll_ctl(2): fs.epoll.max_user_watches
    errno.EPERM: FaultKind.FIREWALL,
    errno.EACCES: FaultKind.FIREWALL,
    errno.ENETDOWN: FaultKind.NETWORK,
}

_WHAT: Final = {
    FaultKind.PORTS: "no local port was left for {n} connections",
    FaultKind.FILES: "the limit of open files kept {n} connections from being opened",
    FaultKind.MEMORY: "this machine's kernel had no memory for {n} sockets",
    FaultKind.CPU_QUOTA: "the control group of the load generator used up its CPU time",
    FaultKind.MEMORY_LIMIT: "the control group of the load generator used up its memory",
    FaultKind.CONNTRACK: "this machine's table of tracked connections is almost full",
    FaultKind.FIREWALL: "a rule of this machine forbade {n} connections",
    FaultKind.NETWORK: "this machine's network was down for {n} connections",
    FaultKind.NAMES: "the server's name could not be resolved here",
    FaultKind.CERTIFICATE: "the server's certificate was not trusted here, in {n} connections",
    FaultKind.ASSIGNMENT: "an assignment never reached a worker, and its users did not run",
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
    FaultKind.FIREWALL: "Look at this machine's firewall rules.",
    FaultKind.CERTIFICATE: "Name the authority with --ca-file, or use --insecure.",
    FaultKind.ASSIGNMENT: "Look at the network between the master and that worker, and start the run again.",
}


def kind_of(error: OSError) -> FaultKind | None:
    """Return which limit of this machine an error of connecting shows; None when it is about the way or the server."""
    if isinstance(error, gaierror):
        return FaultKind.NAMES
    if isinstance(error, ssl.SSLError):
        return FaultKind.CERTIFICATE if isinstance(error, ssl.SSLCertVerificationError) else None
    return _BY_ERRNO.get(error.errno or 0)


class Fault(msgspec.Struct, frozen=True):
    """One kind of fault with one detail, and how often it happened."""

    kind: FaultKind
    detail: str
    count: int

    @property
    def text(self) -> str:
        """The line that tells it."""
        said = _WHAT[self.kind].format(n=self.count)
        return f"{self.kind}: {said}{f' ({self.detail})' if self.detail else ''}"

    @property
    def advice(self) -> str | None:
        """What to do about it, where there is anything to say."""
        return _ADVICE.get(self.kind)


class Faults:
    """The faults of one process, counted; takes bounded memory, however many there are."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[FaultKind, str], int] = {}

    def add(self, kind: FaultKind, detail: str = "") -> bool:
        """Count one; return whether it is the first of its kind and detail."""
        key = (kind, detail)
        if key not in self._counts and sum(known is kind for known, _ in self._counts) >= _MOST_DETAILS:
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
