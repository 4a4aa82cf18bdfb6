"""Checks the server before a run: a wrong address ends in one line, not in thousands of failed connections."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import msgspec
from gevent.event import Event

from stampede.check.participant import NO_STEPS
from stampede.check.start import check_exchange
from stampede.client.credentials import Credentials
from stampede.dialects.stampede import StampedeDialect
from stampede.redaction import redact
from stampede.websocket.connect import connect
from stampede.websocket.errors import ClientError, ConnectError
from stampede.websocket.reactor import Reactor
from stampede.websocket.target import join_url, resolve
from stampede.workload.accounts import account_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stampede.client.user_steps import UserSteps
    from stampede.dialects.base import Dialect
    from stampede.locust.settings import LoadTestSettings
    from stampede.websocket.errors import LostError
    from stampede.websocket.target import Target

    Accounts = tuple[Mapping[str, str], Mapping[str, str]]

GREETING_SECONDS: Final = 5.0
"""Time for the server's greeting."""

_CONNECT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 5.0
_SHOWN_BYTES: Final = 60

_HINT: Final = "is this a Stampede server? For other servers use --dialect"

_decode: Final = msgspec.json.Decoder().decode


def check_server(
    host: str,
    settings: LoadTestSettings,
    path: str,
    dialect: Dialect | None = None,
    steps: Callable[[Accounts], tuple[UserSteps, UserSteps]] | None = None,
) -> None:
    """Check an address and, with a dialect, that a server of its protocol is there.

    The bundled server must send its greeting; with any other dialect, two users exchange messages in a room of their
    own.

    Args:
        host: the address.
        settings: of the test.
        path: of the endpoint, unless the address contains one.
        dialect: None to check only the address.
        steps: returns what two users with these accounts do beside the messages of the dialect.

    Raises:
        ClientError: the address is unusable or the server uses another protocol; the message is one line.
    """
    url = join_url(host, path)
    try:
        target = resolve(
            url,
            verify=settings.verify_tls,
            ca_file=settings.ca_file,
            headers=settings.headers,
            connect_to=settings.connect_to,
        )
        problem = _check_greeting(target, settings) if isinstance(dialect, StampedeDialect) else ""
    except ConnectError as error:
        raise ClientError(error.label, f"cannot connect to {redact(url)}: {error}") from error
    if problem:
        raise ClientError("not a chat server", f"{redact(url)} {problem}; {_HINT}")
    if dialect is not None and not isinstance(dialect, StampedeDialect):
        accounts = (account_of(0, settings.accounts), account_of(1, settings.accounts))
        check_exchange(target, dialect, accounts, settings.join_grace, steps(accounts) if steps else NO_STEPS)


class _GreetingReceiver:
    """Waits for the first message, which must be `connected`, or for the end of the connection."""

    def __init__(self) -> None:
        self.decided = Event()
        self._first: bytes | None = None
        self._error: LostError | None = None

    def message_received(self, payload: bytes, now: int) -> None:
        """Keep the first message."""
        if self._first is None:
            self._first = payload
            self.decided.set()

    def frames_received(self, data: bytes) -> bytes:
        """Leave all frames to the splitter."""
        return data

    def batch_received(self, payloads: list[bytes]) -> list[bytes]:
        """Leave all payloads to `message_received`."""
        return payloads

    def pong_received(self, payload: bytes, now: int) -> None:
        """Do nothing: this receiver sends no pings."""

    def resume_writing(self) -> None:
        """Do nothing: this receiver sends no messages."""

    def connection_lost(self, error: LostError) -> None:
        """Keep the reason why the connection ended."""
        self._error = error
        self.decided.set()

    @property
    def problem(self) -> str:
        """The event that took the place of the greeting; empty if the greeting arrived."""
        if self._first is not None:
            if _is_greeting(self._first):
                return ""
            return f"sent {self._first[:_SHOWN_BYTES].decode(errors='replace')!r} in place of a greeting"
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


def _check_greeting(target: Target, settings: LoadTestSettings) -> str:
    """Connect once and wait for the greeting; return the event that took its place, or an empty text.

    Raises:
        ConnectError: the connection failed.
    """
    token = next((account.get("token") for account in settings.accounts), None)
    receiver = _GreetingReceiver()
    reactor = Reactor(Random(), _ignore_fault)
    try:
        connection = connect(reactor, Credentials(token or None).apply(target), receiver, timeout=_CONNECT_SECONDS)
        receiver.decided.wait(GREETING_SECONDS)
        problem = receiver.problem
        connection.close(_CLOSE_SECONDS)
    finally:
        reactor.close()
    return problem


def _ignore_fault(error: Exception) -> None:
    """Ignore faults of the reactor: the receiver of this connection raises none."""
