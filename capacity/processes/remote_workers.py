"""Workers of the load generator on other machines: where they connect, and the command that starts one."""

from __future__ import annotations

import contextlib
import platform
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import psutil

from capacity.errors import UsageError
from capacity.formatting import error_text

_ANY_HOST: Final = ("*", "0.0.0.0", "::")  # noqa: S104 - values of the option that mean all interfaces
_ELSEWHERE: Final = ("192.0.2.1", 9)
"""An address of no machine (RFC 5737): the route to it is that of all other machines."""


@dataclass(frozen=True, slots=True)
class RemoteWorkers:
    """The workers to wait for.

    Attributes:
        expected: number of workers.
        bind_host: address at which the master listens; None for all interfaces.
        port: port of the master.
        timeout_s: how long to wait for workers to connect, and to come back.
    """

    expected: int
    bind_host: str | None
    port: int
    timeout_s: float

    def arguments(self) -> list[str]:
        """Return Locust's arguments for the master."""
        return ["--master", "--master-bind-host", self.bind_host or "*", "--master-bind-port", str(self.port)]

    def check(self) -> None:
        """Check that the master can listen at its address.

        Raises:
            UsageError: it cannot.
        """
        host = "" if self._is_any_host else self.bind_host or ""
        try:
            socket.create_server((host, self.port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
        except socket.gaierror as error:
            raise UsageError(f"--master-bind-host {host}: {error.strerror}") from None
        except OSError as error:
            option = f"--master-bind-port {self.port}" if not host else f"--master-bind-host {host}, port {self.port}"
            raise UsageError(f"{option}: {error_text(error)}") from None

    def address(self, server_url: str | None) -> str:
        """Return the address of this machine as other machines see it.

        Args:
            server_url: of the server under test, which the workers reach, too; None if it runs on this machine.
        """
        if self.bind_host is not None and not self._is_any_host:
            return self.bind_host
        server = urlsplit(server_url).hostname if server_url else None
        targets = [(server, 9), _ELSEWHERE] if server else [_ELSEWHERE]
        found = [*map(_source_address, targets), *_interface_addresses()]
        return next((one for one in found if one and not one.startswith("127.")), platform.node())

    def command(self, address: str) -> str:
        """Return the command that starts a worker on another machine, given this machine's address."""
        return f".venv/bin/locust -f - --worker --master-host {address} --master-port {self.port}"

    @property
    def _is_any_host(self) -> bool:
        return self.bind_host is None or self.bind_host in _ANY_HOST


def _source_address(target: tuple[str, int]) -> str | None:
    """Return the address of this machine on the route to a target; None without a route. Sends nothing."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])
    return None


def _interface_addresses() -> list[str]:
    """Return the IPv4 addresses of this machine's network interfaces."""
    return [
        one.address
        for name in sorted(psutil.net_if_addrs())
        for one in psutil.net_if_addrs()[name]
        if one.family is socket.AF_INET
    ]
