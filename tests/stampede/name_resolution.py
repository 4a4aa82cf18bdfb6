"""Host names that resolve to given addresses, in this process and in the processes that it starts."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from gevent import socket as gevent_socket

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_EVERYWHERE = """
import _socket

known, ask = {name!r}, _socket.getaddrinfo

def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    if host not in (known, known.encode()):
        return ask(host, port, family, type, proto, flags)
    return [found for address in {addresses!r} for found in ask(address, port, family, type, proto, flags)]

_socket.getaddrinfo = getaddrinfo
"""


def fixed_getaddrinfo(addresses: tuple[str, ...]) -> Any:
    """Return a `getaddrinfo` that always returns these addresses in this order."""

    def getaddrinfo(_host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [found for address in addresses for found in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]

    return getaddrinfo


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make every name resolve to these addresses in this order, for the load generator in this process."""
    monkeypatch.setattr(gevent_socket, "getaddrinfo", fixed_getaddrinfo(addresses))


def resolve_everywhere(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, *addresses: str) -> None:
    """Make a name resolve to these addresses in this order, in every Python process that is started later."""
    (folder / "sitecustomize.py").write_text(_EVERYWHERE.format(name=name, addresses=addresses))
    monkeypatch.setenv("PYTHONPATH", str(folder))
