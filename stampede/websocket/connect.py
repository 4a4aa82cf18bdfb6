"""Opens a connection to a server that may have several addresses."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from stampede.websocket.addresses import ATTEMPT_SECONDS
from stampede.websocket.connection import Connection
from stampede.websocket.target import ConnectError, UnreachableError

if TYPE_CHECKING:
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.receiver import Receiver
    from stampede.websocket.target import Target


def connect(
    reactor: Reactor, target: Target, receiver: Receiver, *, timeout: float, token: str | None = None
) -> Connection:
    """Open a connection, letting other greenlets run meanwhile.

    When an address cannot be reached, the next one of the target is tried, as long as there is time. A server that was
    reached and refused ends the attempt.

    Args:
        reactor: of this process.
        target: where to.
        receiver: who gets the messages.
        timeout: seconds until it counts as failed.
        token: to prove who one is (RFC 6750), if any.

    Raises:
        ConnectError: with a leaf that says what went wrong at the last address that was tried. An address that never
            answered says less than one that did: it may be of a family that this machine or the server does not use.
    """
    deadline = monotonic() + timeout
    headers = target.headers if token is None else (*target.headers, ("Authorization", f"Bearer {token}"))
    addresses = target.addresses
    order = addresses.order()
    failure: ConnectError | None = None
    answers = False  # whether the failure is that of an address which answered before
    for address in order:
        left = deadline - monotonic()
        connection = Connection(reactor, target, address, receiver, headers)
        try:
            connection.open(address, left, left if address is order[-1] else min(left, ATTEMPT_SECONDS))
        except UnreachableError as error:
            if connection.reached:
                raise
            addresses.failed(address, error.label)
            known = addresses.has_answered(address)
            own = error.fault is not None and failure is not None and failure.fault is None
            if known or not (answers or own):
                failure, answers = error, known
            if monotonic() >= deadline:
                break
        else:
            addresses.opened(address)
            return connection
    raise failure or UnreachableError("connect timed out")
