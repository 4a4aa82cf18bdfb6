"""Opening a connection to a server with one or several addresses."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from stampede.websocket.addresses import ATTEMPT_SECONDS
from stampede.websocket.connection import Connection
from stampede.websocket.errors import ConnectError, UnreachableError

if TYPE_CHECKING:
    from stampede.websocket.reactor import Reactor
    from stampede.websocket.receiver import Receiver
    from stampede.websocket.target import Target


def connect(reactor: Reactor, target: Target, receiver: Receiver, *, timeout: float) -> Connection:
    """Open a connection. Other greenlets run meanwhile.

    If an address is unreachable, the next one is tried while there is time. An error after the TCP connect ends the
    attempt.

    Args:
        reactor: of this process.
        target: the server.
        receiver: the owner of the connection, which gets the messages.
        timeout: seconds for all addresses together.

    Raises:
        ConnectError: the error of the last address that was tried. The error of an address that has answered before is
            preferred: other addresses may be of a family that this machine or the server does not use.
    """
    deadline = monotonic() + timeout
    addresses = target.addresses
    order = addresses.order(target.preferred)
    failure: ConnectError | None = None
    known_to_answer = False  # whether `failure` is of an address that has answered before
    for address in order:
        left = deadline - monotonic()
        connection = Connection(reactor, target, address, receiver)
        try:
            connection.open(address, left, left if address is order[-1] else min(left, ATTEMPT_SECONDS))
        except UnreachableError as error:
            addresses.failed(address, error.label)
            has_answered = addresses.has_answered(address)
            only_own_fault = error.fault is not None and failure is not None and failure.fault is None
            if has_answered or not (known_to_answer or only_own_fault):
                failure, known_to_answer = error, has_answered
            if monotonic() >= deadline:
                break
        else:
            addresses.opened(address)
            return connection
    raise failure or UnreachableError("connect timed out")
