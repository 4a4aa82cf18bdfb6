"""Check the server once before a run, so that a wrong address is one line and not ten thousand failures."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import msgspec
from gevent.event import Event

from stampede.redaction import redact
from stampede.websocket.connect import connect
from stampede.websocket.reactor import Reactor
from stampede.websocket.target import ClientError, ConnectError, join_url, resolve

if TYPE_CHECKING:
    from stampede.locust.options import Settings
    from stampede.websocket.target import LostError, Target

GREETING_SECONDS: Final = 5.0
"""How long a server may take to greet, as in the capacity run's check."""

_CONNECT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 5.0
_SHOWN: Final = 60

_decode: Final = msgspec.json.Decoder().decode


class _Listener:
    """Waits for the first message, which must be `connected`, or for the end of the connection."""

    def __init__(self) -> None:
        self.decided = Event()
        self._first: bytes | None = None
        self._error: LostError | None = None

    def take(self, payload: bytes, now: int) -> None:
        """Keep the first message."""
        if self._first is None:
            self._first = payload
            self.decided.set()

    def relieved(self) -> None:
        """Have nothing to send."""

    def lost(self, error: LostError) -> None:
        """Keep why the connection ended."""
        self._error = error
        self.decided.set()

    @property
    def problem(self) -> str:
        """What came in place of the greeting, or nothing if it came."""
        if self._first is not None:
            if _is_greeting(self._first):
                return ""
            return f"sent {self._first[:_SHOWN].decode(errors='replace')!r} in place of a greeting"
        if self._error is not None:
            why = f"{self._error.code} {self._error.reason}".rstrip()
            return f"closed the connection before any greeting ({why})"
        return f"sent no greeting within {GREETING_SECONDS:g} s"


def _is_greeting(payload: bytes) -> bool:
    try:
        message = _decode(payload)
    except msgspec.DecodeError:
        return False
    return isinstance(message, dict) and message.get("type") == "connected"


def check_server(host: str, settings: Settings, *, connect_too: bool) -> None:
    """Check an address and, with `connect_too`, that a server of our protocol greets there.

    Raises:
        ClientError: with one line for the person who gave the address, or the protocol is not ours.
    """
    url = join_url(host, settings.path)
    try:
        target = resolve(url, verify=settings.verify_tls, ca_file=settings.ca_file, headers=settings.headers)
        problem = _greet(target, settings) if connect_too else ""
    except ConnectError as error:
        raise ClientError(error.label, f"cannot connect to {redact(url)}: {error}") from error
    if problem:
        raise ClientError("not a chat server", f"{redact(url)} {problem}; is this a Stampede server?")


def _greet(target: Target, settings: Settings) -> str:
    """Connect once and wait for the greeting; return what came in its place, if anything.

    Raises:
        ConnectError: there was no connection.
    """
    token = settings.tokens[0] if settings.tokens else None
    listener = _Listener()
    reactor = Reactor(Random(), _ignore)
    try:
        connection = connect(reactor, target, listener, timeout=_CONNECT_SECONDS, token=token)
        listener.decided.wait(GREETING_SECONDS)
        problem = listener.problem
        connection.close(_CLOSE_SECONDS)
    finally:
        reactor.close()
    return problem


def _ignore(error: Exception) -> None:
    """Take no notice: nothing of ours runs on this connection."""
