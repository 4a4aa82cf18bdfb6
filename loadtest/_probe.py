"""One look at the server before the herd runs, so that a wrong address is one line and not ten thousand failures."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import msgspec
from gevent.event import Event

from loadtest._connect import connect
from loadtest._reactor import Reactor
from loadtest._target import ClientError, ConnectError, join_url, resolve

if TYPE_CHECKING:
    from loadtest._options import Settings
    from loadtest._target import LostError

_TIMEOUT: Final = 5.0
_PING: Final = b'{"type":"ping"}'
_GREETINGS: Final = ("connected", "pong")
_SHOWN: Final = 60

_decode: Final = msgspec.json.Decoder().decode


class _Listener:
    """Hears whether what answers is a chat server: it greets, or at least answers a `ping`."""

    def __init__(self) -> None:
        self.heard = Event()
        self.is_chat = False
        self.words = "nothing"

    def take(self, payload: bytes, now: int) -> None:
        """Look at one message."""
        self.words = repr(payload[:_SHOWN].decode(errors="replace"))
        try:
            message = _decode(payload)
        except msgspec.DecodeError:
            message = None
        if isinstance(message, dict) and message.get("type") in _GREETINGS:
            self.is_chat = True
            self.heard.set()

    def relieved(self) -> None:
        """Have nothing to send."""

    def lost(self, error: LostError) -> None:
        """Leave it to the herd to notice: a server that is full is a chat server, too."""
        self.is_chat = True
        self.heard.set()


def probe(host: str, settings: Settings, *, connect_too: bool) -> None:
    """Check an address and, with `connect_too`, that a WebSocket server answers there.

    Raises:
        ClientError: with one line for the person who gave the address, or the protocol is not ours.
    """
    url = join_url(host, settings.path)
    token = settings.tokens[0] if settings.tokens else None
    try:
        target = resolve(url, verify=settings.verify_tls, ca_file=settings.ca_file)
        if connect_too:
            reactor = Reactor(Random(), _ignore)
            try:
                listener = _Listener()
                connection = connect(reactor, target, listener, timeout=_TIMEOUT, token=token)
                connection.send_text(_PING)
                listener.heard.wait(_TIMEOUT)
                connection.close(_TIMEOUT)
            finally:
                reactor.close()
            if not listener.is_chat:
                raise ClientError("not a chat server", f"{url} speaks another protocol: it said {listener.words}")
    except ConnectError as error:
        raise ClientError(error.label, f"cannot connect to {url}: {error}") from error


def _ignore(error: Exception) -> None:
    """Take no notice: nothing of ours runs on this connection."""
