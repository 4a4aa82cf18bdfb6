"""The address at which the live page of a run listens."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

LOOPBACK: Final = "127.0.0.1"
DEFAULT_LISTEN_ADDRESS: Final = f"{LOOPBACK}:8090"

_ADDRESS: Final = re.compile(r"(?:(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^\s:/\[\]]+)):)?(?P<port>\d{1,5})")
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A host and a port; port 0 lets the system choose a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def listen_address(text: str) -> ListenAddress:
    """Parse `HOST:PORT`, or `PORT` of the loopback address."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _MAX_PORT:
        raise ValueError(f"not an address such as {DEFAULT_LISTEN_ADDRESS}")
    return ListenAddress(found["ipv6"] or found["host"] or LOOPBACK, int(found["port"]))
