"""One look at the server before the herd runs, so that a wrong address is one line and not ten thousand failures."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from loadtest._client import connect
from loadtest._reactor import Reactor
from loadtest._target import ClientError, ConnectError, join_url, resolve

if TYPE_CHECKING:
    from loadtest._options import Settings
    from loadtest._target import LostError

_TIMEOUT = 5.0


class _Nobody:
    def take(self, payload: bytes, now: int) -> None:
        """Ignore the greeting."""

    def relieved(self) -> None:
        """Have nothing to send."""

    def lost(self, error: LostError) -> None:
        """Leave it to the herd to notice."""


def probe(host: str, settings: Settings, *, connect_too: bool) -> None:
    """Check an address and, with `connect_too`, that a WebSocket server answers there.

    Raises:
        ClientError: with one line for the person who gave the address.
    """
    url = join_url(host, settings.path)
    token = settings.tokens[0] if settings.tokens else None
    try:
        target = resolve(url, verify=settings.verify_tls, ca_file=settings.ca_file)
        if connect_too:
            reactor = Reactor(Random(), _ignore)
            try:
                connect(reactor, target, _Nobody(), timeout=_TIMEOUT, token=token).close(_TIMEOUT)
            finally:
                reactor.close()
    except ConnectError as error:
        raise ClientError(error.label, f"cannot connect to {url}: {error}") from error


def _ignore(error: Exception) -> None:
    """Take no notice: nothing of ours runs on this connection."""
